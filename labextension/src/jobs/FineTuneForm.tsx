import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ICluster, IFile } from '../api';
import { JobForm, PlaceField, RunFields, SelectField, TextField, UploadField } from './fields';
import { AUTO, fieldOfParam, IFineTuneForm, validateFineTune } from './fineTuneForm';
import { FrameField, IFrameSource } from './FrameField';
import { useJobForm } from './useJobForm';

interface IFineTuneFormProps {
  readonly initial: IFineTuneForm;
  readonly models: readonly string[];
  readonly files: readonly IFile[];
  readonly clusters: readonly ICluster[];
  /** Uploads a file for training; resolves to its id. */
  readonly upload: (file: File) => Promise<string>;
  /** The current notebook's DataFrames, or null when there is no notebook. */
  readonly frames: IFrameSource | null;
  readonly submit: (form: IFineTuneForm) => Promise<void>;
  readonly trans: TranslationBundle;
}

/** The form that starts a fine-tuning job. */
export function FineTuneForm(props: IFineTuneFormProps): JSX.Element {
  const { initial, models, files, clusters, upload, frames, submit, trans } = props;
  const form = useJobForm<IFineTuneForm>({
    initial,
    submit,
    validate: values => validateFineTune(values, trans),
    fieldOf: fieldOfParam
  });
  const fileOptions = files.map(file => ({ id: file.id, label: file.filename }));
  const train = (id: string): void => form.set('trainingFile', id);
  return (
    <JobForm
      form={form}
      title={trans.__('Fine-tune a model')}
      submitLabel={trans.__('Start fine-tuning')}
      trans={trans}
    >
      <SelectField
        form={form}
        field="model"
        label={trans.__('Base model')}
        options={models.map(id => ({ id, label: id }))}
        empty={trans.__('Choose a model')}
      />
      <SelectField
        form={form}
        field="trainingFile"
        label={trans.__('Training file')}
        hint={trans.__('JSON Lines with one conversation on each line.')}
        options={fileOptions}
        empty={trans.__('Choose a file')}
      />
      <UploadField
        label={trans.__('Upload a training file…')}
        accept=".jsonl"
        upload={upload}
        onUploaded={train}
        trans={trans}
      />
      {frames && <FrameField source={frames} onUploaded={train} trans={trans} />}
      <SelectField
        form={form}
        field="validationFile"
        label={trans.__('Validation file')}
        options={fileOptions}
        empty={trans.__('None')}
      />
      <TextField
        form={form}
        field="suffix"
        label={trans.__('Name of the result')}
        hint={trans.__('Becomes part of the model’s name.')}
      />
      <TextField form={form} field="epochs" label={trans.__('Epochs')} hint={auto(trans)} />
      <PlaceField
        form={form}
        clusters={clusters}
        sent={trans.__('The files are sent there, and the model comes back here.')}
        trans={trans}
      />
      <details>
        <summary>{trans.__('Advanced')}</summary>
        <Hyperparameters form={form} trans={trans} />
        <RunFields form={form} trans={trans} />
      </details>
    </JobForm>
  );
}

function Hyperparameters(props: {
  readonly form: ReturnType<typeof useJobForm<IFineTuneForm>>;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { form, trans } = props;
  const shown = [
    ['batchSize', trans.__('Batch size'), auto(trans)],
    ['learningRateMultiplier', trans.__('Learning rate multiplier'), auto(trans)],
    ['maxSteps', trans.__('Most steps'), trans.__('Ends the training early.')],
    ['loraRank', trans.__('LoRA rank'), trans.__('Larger learns more and takes more memory.')],
    ['loraAlpha', trans.__('LoRA alpha'), undefined],
    ['seed', trans.__('Seed'), trans.__('The same seed gives the same result.')]
  ] as const;
  return (
    <>
      {shown.map(([field, label, hint]) => (
        <TextField key={field} form={form} field={field} label={label} hint={hint} />
      ))}
    </>
  );
}

function auto(trans: TranslationBundle): string {
  return trans.__('A number, or "%1".', AUTO);
}
