import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { errorText, ICluster } from '../api';
import { healthText, placeText } from '../clusters/words';
import { Button } from '../core/Button';
import { FormField } from './FormField';
import { IRunForm, priorities } from './runFields';
import { IFormState } from './useJobForm';

/** Something to choose. */
export interface IOption {
  readonly id: string;
  readonly label: string;
}

/** The fields of a form that hold text. */
type TextOf<F> = { [K in keyof F]: F[K] extends string ? K : never }[keyof F] & string;

interface IFieldProps<F> {
  readonly form: IFormState<F>;
  readonly field: TextOf<F>;
  readonly label: string;
  readonly hint?: string;
}

/** A form for a job: its title, what the server said, its fields, and the button that sends it. */
export function JobForm<F>(props: {
  readonly form: IFormState<F>;
  readonly title: string;
  readonly submitLabel: string;
  readonly children: React.ReactNode;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { form, title, submitLabel, children, trans } = props;
  return (
    <form ref={form.root} className="jp-PerijoveEdit" noValidate onSubmit={form.onSubmit}>
      <h2>{title}</h2>
      {form.refused !== '' && (
        <div className="jp-PerijoveEdit-refused" role="alert">
          {form.refused}
        </div>
      )}
      {children}
      <div className="jp-PerijoveEdit-buttons">
        <Button type="submit" mod="accept" disabled={form.busy}>
          {form.busy ? trans.__('Creating…') : submitLabel}
        </Button>
      </div>
    </form>
  );
}

/** A line of text. */
export function TextField<F>(
  props: IFieldProps<F> & { readonly placeholder?: string }
): JSX.Element {
  const { form, field, label, hint, placeholder } = props;
  return (
    <FormField label={label} hint={hint} error={form.errorOf(field)}>
      {control => (
        <input
          {...control}
          type="text"
          placeholder={placeholder}
          value={String(form.values[field])}
          onChange={event => set(form, field, event.target.value)}
          onBlur={() => form.touch(field)}
        />
      )}
    </FormField>
  );
}

/** A choice; `empty` is what chooses nothing. */
export function SelectField<F>(
  props: IFieldProps<F> & { readonly options: readonly IOption[]; readonly empty?: string }
): JSX.Element {
  const { form, field, label, hint, options, empty } = props;
  const value = String(form.values[field]);
  return (
    <FormField label={label} hint={hint} error={form.errorOf(field)}>
      {control => (
        <select
          {...control}
          value={value}
          onChange={event => set(form, field, event.target.value)}
          onBlur={() => form.touch(field)}
        >
          {empty !== undefined && <option value="">{empty}</option>}
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

function set<F>(form: IFormState<F>, field: TextOf<F>, value: string): void {
  form.set(field, value as F[TextOf<F>]);
}

/** Keeps a choice that is not in the list, e.g. because the list is still loading. */
export function withCurrent(options: readonly IOption[], current: string): readonly IOption[] {
  return current === '' || options.some(option => option.id === current)
    ? options
    : [{ id: current, label: current }, ...options];
}

/** Where the job runs; shown when there is a choice. */
export function PlaceField<F extends IRunForm>(props: {
  readonly form: IFormState<F>;
  readonly clusters: readonly ICluster[];
  /** What follows from a cluster. */
  readonly sent: string;
  readonly trans: TranslationBundle;
}): JSX.Element | null {
  const { form, clusters, sent, trans } = props;
  const value = form.values.cluster;
  if (clusters.length <= 1 && value === '') {
    return null;
  }
  const chosen = clusters.find(cluster => cluster.name === value);
  const away = chosen !== undefined && chosen.state !== 'connected';
  const hint = away
    ? trans.__('%1: %2. The job waits until it is connected.', value, healthText(chosen, trans))
    : sent;
  const options = clusters.map(cluster => ({
    id: cluster.kind === 'local' ? '' : cluster.name,
    label: placeText(cluster, trans)
  }));
  return (
    <SelectField
      form={form as unknown as IFormState<IRunForm>}
      field="cluster"
      label={trans.__('Where it runs')}
      hint={value === '' ? undefined : hint}
      options={options}
    />
  );
}

/** How urgent the job is, and for how long it may run. */
export function RunFields<F extends IRunForm>(props: {
  readonly form: IFormState<F>;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { trans } = props;
  const form = props.form as unknown as IFormState<IRunForm>;
  return (
    <>
      <SelectField
        form={form}
        field="priority"
        label={trans.__('Priority')}
        hint={trans.__('Of the jobs that wait, those of higher priority begin first.')}
        options={priorities(trans)}
      />
      <TextField
        form={form}
        field="maxRunTime"
        label={trans.__('Maximum run time')}
        hint={trans.__('Such as "90 min" or "2 h": what runs longer is ended. Empty for no limit.')}
      />
    </>
  );
}

/** Uploads a file from the person's machine. */
export function UploadField(props: {
  readonly label: string;
  readonly accept?: string;
  /** Resolves to the file's id. */
  readonly upload: (file: File) => Promise<string>;
  readonly onUploaded: (id: string, file: File) => void;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { label, accept, upload, onUploaded, trans } = props;
  const input = React.useRef<HTMLInputElement>(null);
  const [status, setStatus] = React.useState('');
  const onChange = async (): Promise<void> => {
    const file = input.current?.files?.[0];
    if (!file) {
      return;
    }
    setStatus(trans.__('Uploading %1…', file.name));
    try {
      onUploaded(await upload(file), file);
      setStatus(trans.__('%1 is uploaded.', file.name));
    } catch (error) {
      setStatus(errorText(error));
    }
    input.current!.value = '';
  };
  return (
    <div className="jp-PerijoveEdit-upload">
      <input
        ref={input}
        type="file"
        accept={accept}
        hidden
        onChange={() => void onChange()}
        aria-label={label}
      />
      <Button onClick={() => input.current?.click()}>{label}</Button>
      <span role="status">{status}</span>
    </div>
  );
}
