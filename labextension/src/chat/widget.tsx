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
  readonly #id: string;
  readonly #context: IChatContext;

  constructor(id: string, start: IChatStart, context: IChatContext) {
    super();
    this.#id = id;
    this.#context = context;
    this.addClass('jp-PerijoveTab');
    const { client } = context;
    this.#session = new ChatSession(answersOf(client));
    this.#models = new ObjectListModel<IModel>(client, { path: '/v1/models', object: 'model' });
    this.#stores = new ObjectListModel<INamed>(client, {
      path: '/v1/vector_stores',
      object: 'vector_store'
    });
    this.#models.changed.connect(this.#chooseModel, this);
    void this.#begin(start);
  }

  override dispose(): void {
    clearTimeout(this.#saving);
    this.#session.dispose();
    this.#models.dispose();
    this.#stores.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { client, trans } = this.#context;
    return (
      <PlatformGate status={client.status} trans={trans}>
        <Chat
          session={this.#session}
          models={this.#models}
          stores={this.#stores}
          {...this.#context}
        />
      </PlatformGate>
    );
  }

  async #begin(start: IChatStart): Promise<void> {
    const { client, storage } = this.#context;
    const kept = await storage.load(this.#id).catch(() => null);
    if (this.isDisposed) {
      return;
    }
    if (kept) {
      this.#session.restore(kept);
    }
    this.#session.model = start.model ?? this.#session.model;
    if (start.vectorStore) {
      this.#session.vectorStoreIds = [start.vectorStore];
    }
    this.#name();
    this.#session.changed.connect(this.#onChange, this);
    void storage.prune().catch(() => undefined);
    await client.status.whenReady();
    if (!this.isDisposed) {
      await Promise.all([this.#models.load(), this.#stores.load()]);
    }
  }

  /** Without a choice, ask the model that answers soonest. */
  #chooseModel(): void {
    const chats = chatModels(this.#models.items);
    if (this.#session.model === '' && chats.length > 0) {
      this.#session.model = (chats.find(model => model.state === 'loaded') ?? chats[0]).id;
    }
  }

  #onChange(): void {
    this.#name();
    clearTimeout(this.#saving);
    this.#saving = window.setTimeout(() => {
      // A conversation that cannot be kept is still there to be had.
      this.#context.storage.save(this.#id, this.#session.state).catch(() => undefined);
    }, SAVE_DELAY);
  }

  #name(): void {
    const { trans } = this.#context;
    const { model } = this.#session;
    this.title.label = model === '' ? trans.__('Chat') : trans.__('Chat: %1', model);
  }

  readonly #models: ObjectListModel<IModel>;
  #saving = 0;
  readonly #session: ChatSession;
  readonly #stores: ObjectListModel<INamed>;
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
