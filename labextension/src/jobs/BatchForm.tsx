import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ICluster, IFile } from '../api';
import { batchFieldOf, IBatchForm, validateBatch } from './batchForm';
import { Inputs, Variables } from './BatchRows';
import { JobForm, PlaceField, RunFields, TextField } from './fields';
import { FormField } from './FormField';
import { IFormState, useJobForm } from './useJobForm';
import { splitWords } from './words';

interface IBatchFormProps {
  readonly initial: IBatchForm;
  readonly files: readonly IFile[];
  readonly clusters: readonly ICluster[];
  /** Uploads a file; resolves to its id. */
  readonly upload: (file: File) => Promise<string>;
  readonly submit: (form: IBatchForm) => Promise<void>;
  readonly trans: TranslationBundle;
}

/** The form that starts a batch job. */
export function BatchForm(props: IBatchFormProps): JSX.Element {
  const { initial, files, clusters, upload, submit, trans } = props;
  const form = useJobForm<IBatchForm>({
    initial,
    submit,
    validate: values => validateBatch(values, trans),
    fieldOf: (param, values) => batchFieldOf(values, param)
  });
  return (
    <JobForm
      form={form}
      title={trans.__('New batch job')}
      submitLabel={trans.__('Start the job')}
      trans={trans}
    >
      <TextField form={form} field="name" label={trans.__('Name')} />
      <PlaceField
        form={form}
        clusters={clusters}
        sent={trans.__('The command runs there in a container.')}
        trans={trans}
      />
      {form.values.cluster !== '' && (
        <TextField
          form={form}
          field="image"
          label={trans.__('Image')}
          placeholder={trans.__('docker.io/library/python:3.11')}
          hint={trans.__('A container image that the cluster can pull.')}
        />
      )}
      <CommandField form={form} trans={trans} />
      <Variables form={form} trans={trans} />
      <Inputs form={form} files={files} upload={upload} trans={trans} />
      <details>
        <summary>{trans.__('Resources and repetition')}</summary>
        <Numbers form={form} trans={trans} />
      </details>
      <details>
        <summary>{trans.__('Advanced')}</summary>
        <RunFields form={form} trans={trans} />
      </details>
    </JobForm>
  );
}

interface IPartProps {
  readonly form: IFormState<IBatchForm>;
  readonly trans: TranslationBundle;
}

/** The command line, and below it the words that it is. */
function CommandField({ form, trans }: IPartProps): JSX.Element {
  const { command } = form.values;
  const { words } = splitWords(command);
  return (
    <>
      <FormField
        label={trans.__('Command')}
        hint={trans.__(
          'Read as a shell reads it, with quotes, but nothing is expanded: for pipes and variables write sh -c "…".'
        )}
        error={form.errorOf('command')}
      >
        {control => (
          <textarea
            {...control}
            rows={3}
            spellCheck={false}
            placeholder={trans.__('python -c "print(1)"')}
            value={command}
            onChange={event => form.set('command', event.target.value)}
            onBlur={() => form.touch('command')}
          />
        )}
      </FormField>
      {words !== null && words.length > 0 && (
        <ol className="jp-PerijoveEdit-words" aria-label={trans.__('The words of the command')}>
          {words.map((word, at) => (
            <li key={at}>
              <code>{word}</code>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

function Numbers({ form, trans }: IPartProps): JSX.Element {
  const shown = [
    ['cpus', trans.__('CPUs'), undefined],
    ['memory', trans.__('Memory in GiB'), undefined],
    ['gpus', trans.__('GPUs'), undefined],
    [
      'completions',
      trans.__('Completions'),
      trans.__('How often the command runs; each finds its number in JOB_COMPLETION_INDEX.')
    ],
    ['parallelism', trans.__('Parallelism'), trans.__('How many of them run at once, at most.')]
  ] as const;
  return (
    <>
      {shown.map(([field, label, hint]) => (
        <TextField key={field} form={form} field={field} label={label} hint={hint} />
      ))}
    </>
  );
}
