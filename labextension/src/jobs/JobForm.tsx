import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ICluster } from '../api/types';
import { healthText, placeText } from '../clusters/words';
import { FormField } from './FormField';
import { AUTO, IJobForm, JobField, JobFormErrors, validateJobForm } from './form';
import { FrameField, IFrameSource } from './FrameField';

/** A file that can train. */
export interface IFileChoice {
  readonly id: string;
  readonly filename: string;
}

/** An error of the server, and the fields that it is about. */
export interface ISubmitError {
  readonly message: string;
  readonly fields: JobFormErrors;
}

export interface IJobFormProps {
  readonly initial: IJobForm;
  readonly models: readonly string[];
  readonly files: readonly IFileChoice[];
  readonly clusters: readonly ICluster[];
  /** Uploads a file for training; resolves to its id. */
  readonly upload: (file: File) => Promise<string>;
  /** The current notebook's DataFrames, or null when there is no notebook. */
  readonly frames: IFrameSource | null;
  /** Creates the job; resolves to what the server finds wrong, or null. */
  readonly submit: (form: IJobForm) => Promise<ISubmitError | null>;
  readonly trans: TranslationBundle;
}

/** The form that starts a fine-tuning job. */
export function JobForm(props: IJobFormProps): JSX.Element {
  const { initial, models, files, clusters, upload, frames, submit, trans } = props;
  const [form, setForm] = React.useState(initial);
  const [touched, setTouched] = React.useState<ReadonlySet<JobField>>(new Set());
  const [refused, setRefused] = React.useState<ISubmitError | null>(null);
  const [busy, setBusy] = React.useState(false);
  const root = React.useRef<HTMLFormElement>(null);

  const mine = validateJobForm(form, trans);
  const errorOf = (field: JobField) =>
    (touched.has(field) ? mine[field] : undefined) ?? refused?.fields[field];

  const set = (field: JobField, value: string) => {
    setForm(before => ({ ...before, [field]: value }));
    if (refused) {
      const fields = { ...refused.fields };
      delete fields[field];
      setRefused({ message: Object.keys(fields).length ? refused.message : '', fields });
    }
  };
  const touch = (field: JobField) => setTouched(before => new Set(before).add(field));
  const focusFirstError = () =>
    // The invalid fields are marked only after the next rendering.
    setTimeout(() => {
      const invalid = root.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
      invalid?.closest('details')?.setAttribute('open', '');
      invalid?.focus();
    });

  const onSubmit = async (event: React.FormEvent) => {
    event.preventDefault();
    setTouched(new Set(Object.keys(form) as JobField[]));
    if (Object.keys(mine).length > 0) {
      focusFirstError();
      return;
    }
    setBusy(true);
    const error = await submit(form);
    setBusy(false);
    setRefused(error);
    if (error) {
      focusFirstError();
    }
  };

  const text = (field: JobField, label: string, hint?: string) => (
    <FormField label={label} hint={hint} error={errorOf(field)}>
      {control => (
        <input
          {...control}
          type="text"
          value={form[field]}
          onChange={event => set(field, event.target.value)}
          onBlur={() => touch(field)}
        />
      )}
    </FormField>
  );
  const select = (
    field: JobField,
    label: string,
    options: readonly { id: string; label: string }[],
    empty: string,
    hint?: string
  ) => (
    <FormField label={label} hint={hint} error={errorOf(field)}>
      {control => (
        <select
          {...control}
          value={form[field]}
          onChange={event => set(field, event.target.value)}
          onBlur={() => touch(field)}
        >
          <option value="">{empty}</option>
          {withCurrent(options, form[field]).map(option => (
            <option key={option.id} value={option.id}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </FormField>
  );

  const fileOptions = files.map(file => ({ id: file.id, label: file.filename }));
  const auto = trans.__('A number, or "%1".', AUTO);
  return (
    <form
      ref={root}
      className="jp-PerijoveEdit"
      noValidate
      onSubmit={event => void onSubmit(event)}
    >
      <h2>{trans.__('Fine-tune a model')}</h2>
      {refused && refused.message !== '' && (
        <div className="jp-PerijoveEdit-refused" role="alert">
          {refused.message}
        </div>
      )}
      {select(
        'model',
        trans.__('Base model'),
        models.map(id => ({ id, label: id })),
        trans.__('Choose a model')
      )}
      {select(
        'trainingFile',
        trans.__('Training file'),
        fileOptions,
        trans.__('Choose a file'),
        trans.__('JSON Lines with one conversation on each line.')
      )}
      <UploadField
        label={trans.__('Upload a training file…')}
        upload={upload}
        onUploaded={id => set('trainingFile', id)}
        trans={trans}
      />
      {frames && (
        <FrameField source={frames} onUploaded={id => set('trainingFile', id)} trans={trans} />
      )}
      {select('validationFile', trans.__('Validation file'), fileOptions, trans.__('None'))}
      {text(
        'suffix',
        trans.__('Name of the result'),
        trans.__('Becomes part of the model’s name.')
      )}
      {text('epochs', trans.__('Epochs'), auto)}
      {(clusters.length > 1 || form.cluster !== '') && (
        <PlaceField
          clusters={clusters}
          value={form.cluster}
          error={errorOf('cluster')}
          onChange={value => set('cluster', value)}
          trans={trans}
        />
      )}
      <details>
        <summary>{trans.__('Advanced')}</summary>
        {text('batchSize', trans.__('Batch size'), auto)}
        {text('learningRateMultiplier', trans.__('Learning rate multiplier'), auto)}
        {text('maxSteps', trans.__('Most steps'), trans.__('Ends the training early.'))}
        {text(
          'loraRank',
          trans.__('LoRA rank'),
          trans.__('Larger learns more and takes more memory.')
        )}
        {text('loraAlpha', trans.__('LoRA alpha'))}
        {text('seed', trans.__('Seed'), trans.__('The same seed gives the same result.'))}
      </details>
      <div className="jp-PerijoveEdit-buttons">
        <button type="submit" className="jp-PerijoveButton jp-mod-accept" disabled={busy}>
          {busy ? trans.__('Creating…') : trans.__('Start fine-tuning')}
        </button>
      </div>
    </form>
  );
}

/** Where the job runs; shown when there is a choice. */
function PlaceField(props: {
  clusters: readonly ICluster[];
  value: string;
  error: string | undefined;
  onChange: (value: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { clusters, value, error, onChange, trans } = props;
  const chosen = clusters.find(cluster => cluster.name === value);
  const away = chosen !== undefined && chosen.state !== 'connected';
  const sent = trans.__('The files are sent there, and the model comes back here.');
  const hint = away
    ? trans.__('%1: %2. The job waits until it is connected.', value, healthText(chosen, trans))
    : value === ''
      ? undefined
      : sent;
  const options = clusters.map(cluster => ({
    id: cluster.kind === 'local' ? '' : cluster.name,
    label: placeText(cluster, trans)
  }));
  return (
    <FormField label={trans.__('Where it runs')} hint={hint} error={error}>
      {control => (
        <select {...control} value={value} onChange={event => onChange(event.target.value)}>
          {withCurrent(options, value).map(option => (
            <option key={option.id} value={option.id}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </FormField>
  );
}

/** Keeps a choice that is not in the list, e.g. because the list is still loading. */
function withCurrent(options: readonly { id: string; label: string }[], current: string) {
  return current === '' || options.some(option => option.id === current)
    ? options
    : [{ id: current, label: current }, ...options];
}

function UploadField(props: {
  label: string;
  upload: (file: File) => Promise<string>;
  onUploaded: (id: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { label, upload, onUploaded, trans } = props;
  const input = React.useRef<HTMLInputElement>(null);
  const [status, setStatus] = React.useState('');
  const onChange = async () => {
    const file = input.current?.files?.[0];
    if (!file) {
      return;
    }
    setStatus(trans.__('Uploading %1…', file.name));
    try {
      onUploaded(await upload(file));
      setStatus(trans.__('%1 is uploaded.', file.name));
    } catch (error) {
      setStatus(error instanceof Error ? error.message : String(error));
    }
    input.current!.value = '';
  };
  return (
    <div className="jp-PerijoveEdit-upload">
      <input
        ref={input}
        type="file"
        accept=".jsonl"
        hidden
        onChange={() => void onChange()}
        aria-label={label}
      />
      <button type="button" className="jp-PerijoveButton" onClick={() => input.current?.click()}>
        {label}
      </button>
      <span role="status">{status}</span>
    </div>
  );
}
