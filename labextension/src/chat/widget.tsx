import '../../style/views.js';

import { Notification } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IModel, IObject, IPerijoveClient } from '../api';
import {
  attempt,
  copyText,
  NotebookWriter,
  ObjectListModel,
  PlatformGate,
  useSignals
} from '../core';
import { ChatView, IModelChoice } from './ChatView';
import { toCells } from './insert';
import { ChatSession } from './session';
import { ChatStorage } from './storage';
import { answersOf } from './stream';

/** What a new conversation begins with. */
export interface IChatStart {
  readonly model?: string;
  readonly vectorStore?: string;
}

interface INamed extends IObject {
  readonly name: string;
}

export interface IChatContext {
  readonly client: IPerijoveClient;
  readonly rendermime: IRenderMimeRegistry;
  readonly notebooks: NotebookWriter;
  readonly storage: ChatStorage;
  readonly trans: TranslationBundle;
}

/** A change is kept for a reload after this many milliseconds without another. */
const SAVE_DELAY = 500;

/** The tab of one conversation. */
export class ChatWidget extends ReactWidget {
  constructor(
    private readonly _id: string,
    start: IChatStart,
    private readonly _context: IChatContext
  ) {
    super();
    this.addClass('jp-PerijoveTab');
    const { client } = _context;
    this._session = new ChatSession(answersOf(client));
    this._models = new ObjectListModel<IModel>(client, { path: '/v1/models', object: 'model' });
    this._stores = new ObjectListModel<INamed>(client, {
      path: '/v1/vector_stores',
      object: 'vector_store'
    });
    this._models.changed.connect(this._chooseModel, this);
    void this._begin(start);
  }

  override dispose(): void {
    clearTimeout(this._saving);
    this._session.dispose();
    this._models.dispose();
    this._stores.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { client, trans } = this._context;
    return (
      <PlatformGate status={client.status} trans={trans}>
        <Chat
          session={this._session}
          models={this._models}
          stores={this._stores}
          {...this._context}
        />
      </PlatformGate>
    );
  }

  private async _begin(start: IChatStart): Promise<void> {
    const { client, storage } = this._context;
    const kept = await storage.load(this._id).catch(() => null);
    if (this.isDisposed) {
      return;
    }
    if (kept) {
      this._session.restore(kept);
    }
    this._session.model = start.model ?? this._session.model;
    if (start.vectorStore) {
      this._session.vectorStoreIds = [start.vectorStore];
    }
    this._name();
    this._session.changed.connect(this._onChange, this);
    void storage.prune().catch(() => undefined);
    await client.status.whenReady();
    if (!this.isDisposed) {
      await Promise.all([this._models.load(), this._stores.load()]);
    }
  }

  /** Without a choice, ask the model that answers soonest. */
  private _chooseModel(): void {
    const chats = chatModels(this._models.items);
    if (this._session.model === '' && chats.length > 0) {
      this._session.model = (chats.find(model => model.state === 'loaded') ?? chats[0]).id;
    }
  }

  private _onChange(): void {
    this._name();
    clearTimeout(this._saving);
    this._saving = window.setTimeout(() => {
      // A conversation that cannot be kept is still there to be had.
      this._context.storage.save(this._id, this._session.state).catch(() => undefined);
    }, SAVE_DELAY);
  }

  private _name(): void {
    const { trans } = this._context;
    const { model } = this._session;
    this.title.label = model === '' ? trans.__('Chat') : trans.__('Chat: %1', model);
  }

  private readonly _models: ObjectListModel<IModel>;
  private _saving = 0;
  private readonly _session: ChatSession;
  private readonly _stores: ObjectListModel<INamed>;
}

interface IChatProps extends IChatContext {
  readonly session: ChatSession;
  readonly models: ObjectListModel<IModel>;
  readonly stores: ObjectListModel<INamed>;
}

function Chat(props: IChatProps): JSX.Element {
  const { session, models, stores, rendermime, notebooks, trans } = props;
  useSignals(models.changed, stores.changed);
  const copy = React.useCallback((text: string) => copyText(text, trans), [trans]);
  const insert = React.useCallback(
    (text: string) =>
      void attempt(
        trans.__('The answer was not inserted.'),
        async () => {
          if ((await notebooks.insert(toCells(text))) === null) {
            Notification.warning(trans.__('There are no notebooks here. Copy the answer instead.'));
          }
        },
        trans
      ),
    [notebooks, trans]
  );
  const choices = React.useMemo(() => chatModels(models.items), [models.items]);
  return (
    <ChatView
      session={session}
      models={choices}
      stores={stores.items}
      rendermime={rendermime}
      trans={trans}
      copy={copy}
      insert={insert}
    />
  );
}

/** Models that answer, and their aliases. */
function chatModels(models: readonly IModel[]): IModelChoice[] {
  return models
    .filter(model => model.kind === 'chat' && model.state !== 'pulling')
    .flatMap(({ id, state, aliases }) => [id, ...aliases].map(name => ({ id: name, state })));
}
