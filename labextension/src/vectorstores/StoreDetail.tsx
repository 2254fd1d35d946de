import { TranslationBundle } from '@jupyterlab/translation';
import { UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Button } from '../core/Button';
import { RelativeTime } from '../core/clock';
import { formatBytes } from '../core/format';
import { Pending } from '../core/list/ListStates';
import { StoreDetailModel } from './detailModel';
import { FilesTable } from './FilesTable';
import { SearchBox } from './SearchBox';
import { Expiry, fileCounts, StateBadge } from './StoreState';
import { IStoreFile, IVectorStore } from './types';

/** What can be done with a vector store. */
export interface IStoreActions {
  readonly addFiles: () => void;
  readonly upload: (files: readonly File[]) => Promise<void>;
  readonly removeFile: (file: IStoreFile) => void;
  readonly openFile: (fileId: string) => void;
  readonly chat: (storeId: string) => void;
  readonly copy: (text: string) => void;
  readonly insertSearch: (query: string) => void;
}

interface IStoreDetailProps {
  readonly model: StoreDetailModel;
  readonly actions: IStoreActions;
  readonly trans: TranslationBundle;
}

/** Everything about one vector store. */
export function StoreDetail(props: IStoreDetailProps): JSX.Element {
  return <UseSignal signal={props.model.changed}>{() => <Detail {...props} />}</UseSignal>;
}

function Detail(props: IStoreDetailProps): JSX.Element {
  const { model, actions, trans } = props;
  const { store } = model;
  if (model.deleted) {
    return <p className="jp-PerijoveStore-note">{trans.__('This vector store was deleted.')}</p>;
  }
  if (!store) {
    return <Pending error={model.error} onRetry={() => void model.load()} trans={trans} />;
  }
  return (
    <DropTarget upload={actions.upload} trans={trans}>
      <header className="jp-PerijoveJob-header">
        <h2>{store.name || store.id}</h2>
        <StateBadge status={store.status} trans={trans} />
      </header>
      <Facts store={store} trans={trans} />
      <div className="jp-PerijoveJob-buttons" role="toolbar" aria-label={trans.__('Vector store')}>
        <UploadButton upload={actions.upload} trans={trans} />
        <Button onClick={actions.addFiles}>{trans.__('Add uploaded files…')}</Button>
        <Button onClick={() => actions.chat(store.id)}>{trans.__('Chat with these files')}</Button>
        <Button onClick={() => actions.copy(store.id)}>{trans.__('Copy id')}</Button>
      </div>
      <SearchBox
        model={model}
        openFile={actions.openFile}
        copy={actions.copy}
        insertCode={actions.insertSearch}
        trans={trans}
      />
      <section>
        <h3>{trans.__('Files')}</h3>
        <FilesTable
          files={model.files}
          openFile={actions.openFile}
          remove={actions.removeFile}
          setAttributes={(fileId, attributes) => model.setAttributes(fileId, attributes)}
          trans={trans}
        />
      </section>
    </DropTarget>
  );
}

function Facts(props: { store: IVectorStore; trans: TranslationBundle }): JSX.Element {
  const { store, trans } = props;
  const facts: [string, React.ReactNode][] = [
    [trans.__('Id'), <code key="id">{store.id}</code>],
    [trans.__('Files'), fileCounts(store, trans)],
    [trans.__('Size'), formatBytes(store.usage_bytes)],
    [trans.__('Created'), <RelativeTime key="created" at={store.created_at} />],
    [trans.__('Expires'), <Expiry key="expires" at={store.expires_at} trans={trans} />]
  ];
  if (store.embedding_model) {
    facts.push([trans.__('Embeddings'), store.embedding_model]);
  }
  return (
    <dl className="jp-PerijoveJob-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface IUploadProps {
  readonly upload: (files: readonly File[]) => Promise<void>;
  readonly trans: TranslationBundle;
}

function UploadButton({ upload, trans }: IUploadProps): JSX.Element {
  const input = React.useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label={trans.__('Upload files into this vector store')}
        onChange={event => {
          void upload([...(event.target.files ?? [])]);
          event.target.value = '';
        }}
      />
      <Button mod="accept" onClick={() => input.current?.click()}>
        {trans.__('Upload files…')}
      </Button>
    </>
  );
}

/** Takes files that are dropped anywhere on it. */
function DropTarget(props: IUploadProps & { children: React.ReactNode }): JSX.Element {
  const { upload, trans, children } = props;
  const [over, setOver] = React.useState(false);
  const carriesFiles = (event: React.DragEvent) => event.dataTransfer.types.includes('Files');
  return (
    <div
      className={`jp-PerijoveStore${over ? ' jp-mod-dropping' : ''}`}
      onDragOver={event => {
        if (carriesFiles(event)) {
          event.preventDefault();
          setOver(true);
        }
      }}
      onDragLeave={event => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) {
          setOver(false);
        }
      }}
      onDrop={event => {
        setOver(false);
        if (carriesFiles(event)) {
          event.preventDefault();
          void upload([...event.dataTransfer.files]);
        }
      }}
    >
      {over && <div className="jp-PerijoveStore-drop">{trans.__('Drop to add to this store')}</div>}
      {children}
    </div>
  );
}
