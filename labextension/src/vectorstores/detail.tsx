import '../../style/views.js';

import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IUploadTask } from '../api';
import { attempt, confirmDelete, copyText, ISnippets, OPEN_DETAIL, PlatformGate } from '../core';
import { IStoreContext } from './commands';
import { StoreDetailModel } from './detailModel';
import * as ids from './ids';
import { SEARCH_KIND, searchId } from './snippets';
import { IStoreActions, StoreDetail } from './StoreDetail';
import { IStoreFile } from './types';

/** The purpose of files that are uploaded straight into a store. */
const PURPOSE = 'assistants';

/** The tab of one vector store. */
export class StoreDetailWidget extends ReactWidget {
  readonly #id: string;
  readonly #context: IStoreContext;
  readonly #snippets: ISnippets;

  constructor(id: string, context: IStoreContext, snippets: ISnippets) {
    super();
    this.#id = id;
    this.#context = context;
    this.#snippets = snippets;
    this.addClass('jp-PerijoveTab');
    this.#model = new StoreDetailModel(id, context.api());
    this.#model.changed.connect(this.#name, this);
    void this.#load();
  }

  override dispose(): void {
    this.#model.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { client, trans } = this.#context;
    return (
      <PlatformGate status={client.status} trans={trans}>
        <StoreDetail model={this.#model} actions={this.#actions()} trans={trans} />
      </PlatformGate>
    );
  }

  async #load(): Promise<void> {
    await this.#context.client.status.whenReady();
    if (!this.isDisposed) {
      await this.#model.load();
    }
  }

  #name(): void {
    const { store } = this.#model;
    if (store) {
      this.title.label = store.name || store.id;
    }
  }

  #actions(): IStoreActions {
    const { commands, trans } = this.#context;
    return {
      addFiles: () => void commands.execute(ids.ADD_FILES, { ids: [this.#id] }),
      upload: files => this.#upload(files),
      removeFile: file => void this.#removeFile(file),
      openFile: id => void commands.execute(OPEN_DETAIL, { kind: 'file', id }),
      chat: id => void commands.execute(ids.CHAT_STORE, { ids: [id] }),
      copy: text => copyText(text, trans),
      insertSearch: query => void this.#snippets.insert(SEARCH_KIND, searchId(this.#id, query))
    };
  }

  async #upload(files: readonly File[]): Promise<void> {
    const { client, trans } = this.#context;
    const tasks = files.map(file => client.uploads.start(file, PURPOSE));
    await attempt(
      trans.__('The files were not added.'),
      async () => {
        const results = await Promise.all(tasks.map(resultOf));
        const uploaded = results.filter((id): id is string => id !== null);
        if (uploaded.length > 0) {
          await this.#model.addFiles(uploaded);
        }
        const failed = tasks.find(task => task.state === 'failed');
        if (failed) {
          throw new Error(`${failed.file.name}: ${failed.error ?? ''}`);
        }
      },
      trans
    );
  }

  async #removeFile(file: IStoreFile): Promise<void> {
    const { preferences, trans } = this.#context;
    const confirmed = await confirmDelete(
      {
        title: trans.__('Remove this file from the vector store?'),
        names: [file.filename ?? file.id],
        consequence: trans.__('The uploaded file itself stays.')
      },
      preferences,
      trans
    );
    if (confirmed) {
      await attempt(
        trans.__('The file was not removed.'),
        () => this.#model.remove(file.id),
        trans
      );
    }
  }

  readonly #model: StoreDetailModel;
}

async function resultOf(task: IUploadTask): Promise<string | null> {
  await task.settled;
  return task.result?.id ?? null;
}
