import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { RelativeTime } from '../core/clock';
import { formatBytes } from '../core/format';
import { AttributeEditor } from './AttributeEditor';
import { StateBadge } from './StoreState';
import { Attributes, IStoreFile } from './types';

interface IFilesTableProps {
  readonly files: readonly IStoreFile[];
  readonly openFile: (fileId: string) => void;
  readonly remove: (file: IStoreFile) => void;
  readonly setAttributes: (fileId: string, attributes: Attributes) => Promise<void>;
  readonly trans: TranslationBundle;
}

/** The files of a store with how far each is, and why it failed. */
export function FilesTable(props: IFilesTableProps): JSX.Element {
  const { files, trans } = props;
  if (files.length === 0) {
    return (
      <p className="jp-PerijoveStore-note">
        {trans.__('No files yet. Drop some here, or add files that were uploaded.')}
      </p>
    );
  }
  return (
    <div className="jp-PerijoveJob-tableScroll" tabIndex={0}>
      <table className="jp-PerijoveJob-table">
        <thead>
          <tr>
            <th scope="col">{trans.__('File')}</th>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('Size')}</th>
            <th scope="col">{trans.__('Added')}</th>
            <th scope="col">{trans.__('Attributes')}</th>
            <th scope="col">
              <span className="jp-PerijoveStore-hidden">{trans.__('Actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {files.map(file => (
            <FileRow key={file.id} {...props} file={file} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function FileRow(props: IFilesTableProps & { file: IStoreFile }): JSX.Element {
  const { file, openFile, remove, setAttributes, trans } = props;
  const [editing, setEditing] = React.useState(false);
  const name = file.filename ?? file.id;
  const pairs = Object.entries(file.attributes ?? {});
  return (
    <>
      <tr>
        <td>
          <button
            type="button"
            className="jp-PerijoveJob-link"
            title={file.id}
            onClick={() => openFile(file.id)}
          >
            {name}
          </button>
        </td>
        <td>
          <StateBadge status={file.status} trans={trans} />
          {file.last_error && (
            <div className="jp-PerijoveEdit-error">{file.last_error.message}</div>
          )}
        </td>
        <td>{formatBytes(file.usage_bytes)}</td>
        <td>
          <RelativeTime at={file.created_at} />
        </td>
        <td>
          <button
            type="button"
            className="jp-PerijoveJob-link"
            aria-expanded={editing}
            aria-label={trans.__('Attributes of %1', name)}
            onClick={() => setEditing(!editing)}
          >
            {pairs.length === 0
              ? trans.__('Add…')
              : pairs.map(([key, value]) => `${key}: ${value}`).join(', ')}
          </button>
        </td>
        <td>
          <button
            type="button"
            className="jp-PerijoveChat-action"
            aria-label={trans.__('Remove %1', name)}
            onClick={() => remove(file)}
          >
            {trans.__('Remove')}
          </button>
        </td>
      </tr>
      {editing && (
        <tr>
          <td colSpan={6}>
            <AttributeEditor
              attributes={file.attributes}
              save={attributes => setAttributes(file.id, attributes)}
              close={() => setEditing(false)}
              trans={trans}
            />
          </td>
        </tr>
      )}
    </>
  );
}
