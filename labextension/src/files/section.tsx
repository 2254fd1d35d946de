import { HTMLSelect } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { asSection, attempt, ISnippets, ObjectList, useSignals } from '../core';
import { fileColumns } from './columns';
import { FILE_COMMANDS, IFileContext } from './commands';
import { droppedFiles } from './dropped';
import { PURPOSES, purposeText } from './purposes';
import { UploadRows } from './UploadRows';

/** Commands of a file's context menu. */
const ROW_COMMANDS = [
  FILE_COMMANDS.open,
  FILE_COMMANDS.download,
  '-',
  FILE_COMMANDS.fineTune,
  FILE_COMMANDS.addToStore,
  '-',
  FILE_COMMANDS.remove
];

/** The list of files in the side bar, onto which files can be dropped. */
export function createSection(context: IFileContext, snippets: ISnippets): Widget {
  return asSection(<FilesSection context={context} snippets={snippets} />);
}

interface IProps {
  readonly context: IFileContext;
  readonly snippets: ISnippets;
}

function FilesSection({ context, snippets }: IProps): React.ReactElement {
  const { commands, model, trans } = context;
  const drop = useFileDrop(context);
  const columns = React.useMemo(() => fileColumns(trans), [trans]);
  return (
    <div className={`jp-PerijoveFiles${drop.over ? ' jp-mod-drop' : ''}`} {...drop.handlers}>
      <PurposeChoice context={context} />
      <UploadRows uploads={context.uploads} trans={trans} />
      <ObjectList
        model={model}
        kind="file"
        label={trans.__('Files')}
        columns={columns}
        commands={commands}
        rowCommands={ROW_COMMANDS}
        openCommand={FILE_COMMANDS.open}
        deleteCommand={FILE_COMMANDS.remove}
        name={file => file.filename}
        snippet={file => snippets.text('file', file.id)}
        empty={{
          title: trans.__('No files yet'),
          text: trans.__(
            'Drop files here, or upload them: examples to fine-tune with, or documents to search.'
          ),
          actions: [{ label: trans.__('Upload files'), command: FILE_COMMANDS.upload }]
        }}
        trans={trans}
      />
      {drop.over && (
        <div className="jp-PerijoveFiles-target">{trans.__('Drop the files to upload them')}</div>
      )}
    </div>
  );
}

/** What new files are for. */
function PurposeChoice({ context }: { readonly context: IFileContext }): React.ReactElement {
  const { preferences, trans } = context;
  useSignals(preferences.changed);
  const id = React.useId();
  return (
    <div className="jp-PerijoveFiles-purpose">
      <label htmlFor={id}>{trans.__('Upload for')}</label>
      <HTMLSelect
        id={id}
        value={preferences.values.uploadPurpose}
        onChange={event => void preferences.set('uploadPurpose', event.target.value)}
      >
        {PURPOSES.map(purpose => (
          <option key={purpose} value={purpose}>
            {purposeText(purpose, trans)}
          </option>
        ))}
      </HTMLSelect>
    </div>
  );
}

interface IDrop {
  readonly over: boolean;
  readonly handlers: Pick<
    React.DOMAttributes<HTMLDivElement>,
    'onDragEnter' | 'onDragOver' | 'onDragLeave' | 'onDrop'
  >;
}

function useFileDrop({ uploads, preferences, trans }: IFileContext): IDrop {
  // Enter and leave come for every element inside, so they are counted.
  const depth = React.useRef(0);
  const [over, setOver] = React.useState(false);
  const move = (by: number): void => {
    depth.current = Math.max(0, depth.current + by);
    setOver(depth.current > 0);
  };
  const hasFiles = (event: React.DragEvent): boolean => event.dataTransfer.types.includes('Files');
  const start = async (transfer: DataTransfer): Promise<void> => {
    for (const file of await droppedFiles(transfer)) {
      uploads.start(file, preferences.values.uploadPurpose);
    }
  };
  return {
    over,
    handlers: {
      onDragEnter: event => hasFiles(event) && move(1),
      onDragLeave: event => hasFiles(event) && move(-1),
      onDragOver: event => {
        if (hasFiles(event)) {
          event.preventDefault();
          event.dataTransfer.dropEffect = 'copy';
        }
      },
      onDrop: event => {
        if (hasFiles(event)) {
          event.preventDefault();
          event.stopPropagation();
          move(-depth.current);
          const { dataTransfer } = event;
          void attempt(trans.__('The files were not read.'), () => start(dataTransfer), trans);
        }
      }
    }
  };
}
