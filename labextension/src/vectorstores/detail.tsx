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
  constructor(
    private readonly _id: string,
    private readonly _context: IStoreContext,
    private readonly _snippets: ISnippets
  ) {
    super();
    this.addClass('jp-PerijoveTab');
    this._model = new StoreDetailModel(_id, _context.api());
    this._model.changed.connect(this._name, this);
    void this._load();
  }

  override dispose(): void {
    this._model.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { client, trans } = this._context;
    return (
      <PlatformGate status={client.status} trans={trans}>
        <StoreDetail model={this._model} actions={this._actions()} trans={trans} />
      </PlatformGate>
    );
  }

  private async _load(): Promise<void> {
    await this._context.client.status.whenReady();
    if (!this.isDisposed) {
      await this._model.load();
    }
  }

  private _name(): void {
    const { store } = this._model;
    if (store) {
      this.title.label = store.name || store.id;
    }
  }

  private _actions(): IStoreActions {
    const { commands, trans } = this._context;
    return {
      addFiles: () => void commands.execute(ids.ADD_FILES, { ids: [this._id] }),
      upload: files => this._upload(files),
      removeFile: file => void this._removeFile(file),
      openFile: id => void commands.execute(OPEN_DETAIL, { kind: 'file', id }),
      chat: id => void commands.execute(ids.CHAT_STORE, { ids: [id] }),
      copy: text => copyText(text, trans),
      insertSearch: query => void this._snippets.insert(SEARCH_KIND, searchId(this._id, query))
    };
  }

  private async _upload(files: readonly File[]): Promise<void> {
    const { client, trans } = this._context;
    const tasks = files.map(file => client.uploads.start(file, PURPOSE));
    await attempt(
      trans.__('The files were not added.'),
      async () => {
        const results = await Promise.all(tasks.map(resultOf));
        const uploaded = results.filter((id): id is string => id !== null);
        if (uploaded.length > 0) {
          await this._model.addFiles(uploaded);
        }
        const failed = tasks.find(task => task.state === 'failed');
        if (failed) {
          throw new Error(`${failed.file.name}: ${failed.error ?? ''}`);
        }
      },
      trans
    );
  }

  private async _removeFile(file: IStoreFile): Promise<void> {
    const { preferences, trans } = this._context;
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
        () => this._model.remove(file.id),
        trans
      );
    }
  }

  private readonly _model: StoreDetailModel;
}

async function resultOf(task: IUploadTask): Promise<string | null> {
  await task.settled;
  return task.result?.id ?? null;
}
