import { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon, LabIcon, pauseIcon, refreshIcon, runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IUploads, IUploadTask } from '../api';
import { formatBytes, useSignals } from '../core';

/** The uploads that are under way or went wrong. */
export function UploadRows(props: {
  readonly uploads: IUploads;
  readonly trans: TranslationBundle;
}): React.ReactElement | null {
  const { uploads, trans } = props;
  useSignals(uploads.changed);
  const shown = uploads.tasks.filter(task => task.state !== 'done' && task.state !== 'cancelled');
  if (shown.length === 0) {
    return null;
  }
  return (
    <ul className="jp-PerijoveUploads" aria-label={trans.__('Uploads')}>
      {shown.map((task, index) => (
        <UploadRow key={`${task.file.name}-${index}`} uploads={uploads} task={task} trans={trans} />
      ))}
    </ul>
  );
}

interface IRowProps {
  readonly uploads: IUploads;
  readonly task: IUploadTask;
  readonly trans: TranslationBundle;
}

function UploadRow({ uploads, task, trans }: IRowProps): React.ReactElement {
  const { file, state, sentBytes } = task;
  return (
    <li className="jp-PerijoveUpload" data-state={state}>
      <span className="jp-PerijoveUpload-name" title={file.name}>
        {file.name}
      </span>
      <span className="jp-PerijoveUpload-amount">{amount(task, trans)}</span>
      {(state === 'uploading' || state === 'waiting') && (
        <IconButton
          icon={pauseIcon}
          label={trans.__('Pause %1', file.name)}
          act={() => task.pause()}
        />
      )}
      {state === 'paused' && (
        <IconButton
          icon={runIcon}
          label={trans.__('Resume %1', file.name)}
          act={() => task.resume()}
        />
      )}
      {state === 'failed' && file.size > 0 && (
        <IconButton
          icon={refreshIcon}
          label={trans.__('Try %1 again', file.name)}
          act={() => task.resume()}
        />
      )}
      {state !== 'completing' && (
        <IconButton
          icon={closeIcon}
          label={trans.__('Cancel %1', file.name)}
          act={() => {
            void task.cancel();
            uploads.dismiss(task);
          }}
        />
      )}
      <progress
        max={Math.max(1, file.size)}
        value={sentBytes}
        aria-label={trans.__('Upload of %1', file.name)}
      />
      {task.error !== null && (
        <span className="jp-PerijoveUpload-error" role="alert">
          {file.size === 0
            ? trans.__('The file is empty: there is nothing to upload.')
            : task.error}
        </span>
      )}
    </li>
  );
}

function IconButton(props: {
  readonly icon: LabIcon;
  readonly label: string;
  readonly act: () => void;
}): React.ReactElement {
  return (
    <button
      className="jp-PerijoveIconButton"
      title={props.label}
      aria-label={props.label}
      onClick={props.act}
    >
      <props.icon.react tag="span" />
    </button>
  );
}

function amount({ state, sentBytes, file }: IUploadTask, trans: TranslationBundle): string {
  switch (state) {
    case 'paused':
      return trans.__('Paused at %1 %', Math.floor((100 * sentBytes) / Math.max(1, file.size)));
    case 'completing':
      return trans.__('Checking…');
    case 'failed':
      return trans.__('Failed');
    default:
      return trans.__('%1 of %2', formatBytes(sentBytes), formatBytes(file.size));
  }
}
