import '../../style/views.js';

import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { IFile, IPerijoveClient } from '../api';
import {
  CommandButton,
  formatAbsolute,
  formatBytes,
  Pending,
  PlatformGate,
  RelativeTime,
  useObject
} from '../core';
import { filePath } from './api';
import { FILE_COMMANDS, IFileContext } from './commands';
import { Preview } from './Preview';
import { purposeText } from './purposes';
import { useValidation, Validation } from './Validation';

/** A file as a tab: what it is, its validation and its lines. */
export function createDetail(context: IFileContext, client: IPerijoveClient, id: string): Widget {
  const widget = new FileWidget(context, client, id);
  widget.addClass('jp-PerijoveDetailBody');
  return widget;
}

class FileWidget extends ReactWidget {
  readonly #context: IFileContext;
  readonly #client: IPerijoveClient;
  readonly #id: string;

  constructor(context: IFileContext, client: IPerijoveClient, id: string) {
    super();
    this.#context = context;
    this.#client = client;
    this.#id = id;
  }

  protected override render(): React.ReactElement {
    return (
      <PlatformGate status={this.#client.status} trans={this.#context.trans}>
        <FileDetail
          context={this.#context}
          client={this.#client}
          id={this.#id}
          onName={name => {
            this.title.label = name;
          }}
        />
      </PlatformGate>
    );
  }
}

interface IProps {
  readonly context: IFileContext;
  readonly client: IPerijoveClient;
  readonly id: string;
  readonly onName: (name: string) => void;
}

function FileDetail({ context, client, id, onName }: IProps): React.ReactElement {
  const { trans } = context;
  const { value, error, gone, reload } = useObject<IFile>(client, filePath(id), 'file', id);
  const filename = value?.filename;
  React.useEffect(() => {
    // The commands look the file up in the list.
    void context.model.load();
  }, [context.model]);
  React.useEffect(() => {
    if (filename !== undefined) {
      onName(filename);
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the callback is made anew with every render
  }, [filename]);
  if (gone) {
    return <div className="jp-PerijoveMessage">{trans.__('This file has been deleted.')}</div>;
  }
  if (value === null) {
    return <Pending error={error} onRetry={reload} trans={trans} />;
  }
  return <Loaded context={context} file={value} />;
}

function Loaded(props: {
  readonly context: IFileContext;
  readonly file: IFile;
}): React.ReactElement {
  const { context, file } = props;
  const { trans } = context;
  const validation = useValidation(context.api, file);
  const [target, setTarget] = React.useState<{ readonly line: number } | null>(null);
  const problems = validation.result?.errors ?? [];
  return (
    <article className="jp-PerijoveFile">
      <h1>{file.filename}</h1>
      <p className="jp-PerijoveFile-facts">
        {purposeText(file.purpose, trans)} · {formatBytes(file.bytes)} ·{' '}
        <RelativeTime at={file.created_at} /> ·{' '}
        <code title={formatAbsolute(file.created_at)}>{file.id}</code>
      </p>
      <Actions context={context} file={file} />
      <Validation validation={validation} onLine={line => setTarget({ line })} trans={trans} />
      <Preview api={context.api} file={file} target={target} problems={problems} trans={trans} />
    </article>
  );
}

function Actions(props: {
  readonly context: IFileContext;
  readonly file: IFile;
}): React.ReactElement {
  const { context, file } = props;
  const names = [
    FILE_COMMANDS.fineTune,
    FILE_COMMANDS.addToStore,
    FILE_COMMANDS.download,
    FILE_COMMANDS.remove
  ];
  return (
    <div className="jp-PerijoveActions">
      {names.map(name => (
        <CommandButton
          key={name}
          commands={context.commands}
          command={name}
          args={{ ids: [file.id] }}
          changed={context.model.changed}
        />
      ))}
    </div>
  );
}
