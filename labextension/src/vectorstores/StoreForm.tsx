import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { FormField } from '../jobs/FormField';
import { IStoreForm, StoreField, StoreFormErrors, validateStoreForm } from './form';

/** A file that can be put into a store. */
export interface IFileChoice {
  readonly id: string;
  readonly filename: string;
}

interface IStoreFormProps {
  readonly form: IStoreForm;
  readonly onChange: (form: IStoreForm) => void;
  readonly files: readonly IFileChoice[];
  /** What the server found wrong. */
  readonly refused: StoreFormErrors;
  /** Show what is wrong in fields that were not touched yet, too. */
  readonly showAll: boolean;
  readonly trans: TranslationBundle;
}

/** The fields of a new vector store. */
export function StoreForm(props: IStoreFormProps): JSX.Element {
  const { form, onChange, files, refused, showAll, trans } = props;
  const [touched, setTouched] = React.useState<ReadonlySet<StoreField>>(new Set());
  const mine = validateStoreForm(form, trans);
  const errorOf = (field: StoreField) =>
    (showAll || touched.has(field) ? mine[field] : undefined) ?? refused[field];
  const text = (
    field: 'name' | 'chunkSize' | 'chunkOverlap' | 'expiryDays',
    label: string,
    hint?: string
  ) => (
    <FormField label={label} hint={hint} error={errorOf(field)}>
      {control => (
        <input
          {...control}
          type="text"
          value={form[field]}
          onChange={event => onChange({ ...form, [field]: event.target.value })}
          onBlur={() => setTouched(before => new Set(before).add(field))}
        />
      )}
    </FormField>
  );
  return (
    <div className="jp-PerijoveEdit">
      {text('name', trans.__('Name'))}
      <FileChecklist
        files={files}
        chosen={form.fileIds}
        onChange={fileIds => onChange({ ...form, fileIds })}
        error={errorOf('fileIds')}
        trans={trans}
      />
      <details>
        <summary>{trans.__('Advanced')}</summary>
        <FormField label={trans.__('Chunking')}>
          {control => (
            <select
              {...control}
              value={form.chunking}
              onChange={event =>
                onChange({ ...form, chunking: event.target.value === 'static' ? 'static' : 'auto' })
              }
            >
              <option value="auto">{trans.__('Automatic')}</option>
              <option value="static">{trans.__('Chunks of a fixed size')}</option>
            </select>
          )}
        </FormField>
        {form.chunking === 'static' && text('chunkSize', trans.__('Chunk size in tokens'))}
        {form.chunking === 'static' && text('chunkOverlap', trans.__('Overlap in tokens'))}
        {text(
          'expiryDays',
          trans.__('Expires after days without use'),
          trans.__('Leave it empty to keep the store.')
        )}
      </details>
    </div>
  );
}

/** Chooses several files; a long list can be filtered. */
export function FileChecklist(props: {
  files: readonly IFileChoice[];
  chosen: readonly string[];
  onChange: (fileIds: readonly string[]) => void;
  error?: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { files, chosen, onChange, error, trans } = props;
  const [filter, setFilter] = React.useState('');
  const shown = files.filter(file => file.filename.toLowerCase().includes(filter.toLowerCase()));
  return (
    <fieldset className="jp-PerijoveEdit-checklist">
      <legend>{trans.__('Files')}</legend>
      {files.length === 0 && <p>{trans.__('No file has been uploaded yet.')}</p>}
      {files.length > 8 && (
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Filter files')}
          aria-label={trans.__('Filter files')}
          value={filter}
          onChange={event => setFilter(event.target.value)}
        />
      )}
      <div className="jp-PerijoveEdit-checks">
        {shown.map(file => (
          <label key={file.id} title={file.id}>
            <input
              type="checkbox"
              checked={chosen.includes(file.id)}
              onChange={event =>
                onChange(
                  event.target.checked ? [...chosen, file.id] : chosen.filter(id => id !== file.id)
                )
              }
            />
            {file.filename}
          </label>
        ))}
      </div>
      {error && <div className="jp-PerijoveEdit-error">{error}</div>}
    </fieldset>
  );
}
