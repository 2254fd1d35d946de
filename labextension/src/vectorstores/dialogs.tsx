import '../../style/views.js';

import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { UUID } from '@lumino/coreutils';
import * as React from 'react';

import { ApiError, errorText, IFile, IPerijoveClient } from '../api';
import { VectorStoresApi } from './api';
import { EMPTY_FORM, fieldOfParam, IStoreForm, StoreFormErrors, validateStoreForm } from './form';
import { FileChecklist, IFileChoice, StoreForm } from './StoreForm';
import { IVectorStore } from './types';

/** The most files that are offered. */
const MAX_FILES = 500;

/** The files of the platform, newest first. */
export async function listFiles(client: IPerijoveClient): Promise<readonly IFileChoice[]> {
  const files: IFile[] = [];
  for await (const file of client.each<IFile>('/v1/files', { limit: 100 })) {
    files.push(file);
    if (files.length >= MAX_FILES) {
      break;
    }
  }
  return files;
}

/** A dialog's content that keeps what was entered in `value`. */
class FormBody<T> extends ReactWidget {
  readonly #render: (value: T, set: (value: T) => void) => JSX.Element;

  constructor(
    public value: T,
    render: (value: T, set: (value: T) => void) => JSX.Element
  ) {
    super();
    this.#render = render;
    this.addClass('jp-PerijoveEdit-dialog');
  }

  getValue(): T {
    return this.value;
  }

  protected override render(): JSX.Element {
    return this.#render(this.value, value => {
      this.value = value;
      this.update();
    });
  }
}

/**
 * Ask for a new vector store and create it. The form comes back with what is
 * wrong until it is right or given up.
 *
 * @returns null when it was given up
 */
export async function createStoreDialog(
  api: VectorStoresApi,
  files: readonly IFileChoice[],
  fileIds: readonly string[],
  trans: TranslationBundle
): Promise<IVectorStore | null> {
  let form: IStoreForm = { ...EMPTY_FORM, fileIds };
  let refused: StoreFormErrors = {};
  let message = '';
  let showAll = false;
  let key = { of: '', value: '' };
  for (;;) {
    const state = { refused, message, showAll };
    const body = new FormBody(form, (value, set) => (
      <>
        {state.message !== '' && (
          <div role="alert" className="jp-PerijoveEdit-refused">
            {state.message}
          </div>
        )}
        <StoreForm
          form={value}
          onChange={set}
          files={files}
          refused={state.refused}
          showAll={state.showAll}
          trans={trans}
        />
      </>
    ));
    const accepted = await show(trans.__('New vector store'), body, trans.__('Create'), trans);
    if (!accepted) {
      return null;
    }
    form = body.value;
    showAll = true;
    refused = {};
    message = '';
    if (Object.keys(validateStoreForm(form, trans)).length > 0) {
      continue;
    }
    const content = JSON.stringify(form);
    key = key.of === content ? key : { of: content, value: UUID.uuid4() };
    try {
      return await api.create(form, key.value);
    } catch (error) {
      const field = error instanceof ApiError ? fieldOfParam(error.param) : null;
      refused = field ? { [field]: errorText(error) } : {};
      message = field ? '' : errorText(error);
    }
  }
}

/** Ask which files to add. @returns null when it was given up */
export async function chooseFilesDialog(
  files: readonly IFileChoice[],
  trans: TranslationBundle
): Promise<readonly string[] | null> {
  const body = new FormBody<readonly string[]>([], (chosen, set) => (
    <FileChecklist files={files} chosen={chosen} onChange={set} trans={trans} />
  ));
  const accepted = await show(trans.__('Add files'), body, trans.__('Add'), trans);
  return accepted ? body.value : null;
}

/** Ask for the store that files go into; "" stands for a new one. @returns null when it was given up */
export async function chooseStoreDialog(
  stores: readonly IVectorStore[],
  trans: TranslationBundle
): Promise<string | null> {
  const body = new FormBody(stores[0]?.id ?? '', (chosen, set) => (
    <label className="jp-PerijoveEdit-choice">
      {trans.__('Vector store')}
      <select className="jp-mod-styled" value={chosen} onChange={event => set(event.target.value)}>
        {stores.map(store => (
          <option key={store.id} value={store.id}>
            {store.name || store.id}
          </option>
        ))}
        <option value="">{trans.__('A new one…')}</option>
      </select>
    </label>
  ));
  const accepted = await show(trans.__('Add to a vector store'), body, trans.__('Add'), trans);
  return accepted ? body.value : null;
}

async function show<T>(
  title: string,
  body: FormBody<T>,
  accept: string,
  trans: TranslationBundle
): Promise<boolean> {
  const dialog = new Dialog({
    title,
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: accept })
    ],
    focusNodeSelector: 'input, select'
  });
  const result = await dialog.launch();
  return result.button.accept;
}
