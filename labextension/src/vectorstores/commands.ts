import { InputDialog } from '@jupyterlab/apputils';
import { addIcon, editIcon } from '@jupyterlab/ui-components';

import { IPerijoveClient } from '../api';
import { argIds, attempt, CHAT, IRowsContext, RowCommands } from '../core';
import { VectorStoresApi } from './api';
import * as ids from './ids';
import { IVectorStore } from './types';

/** What the commands of vector stores work with. */
export interface IStoreContext extends IRowsContext<IVectorStore> {
  readonly client: IPerijoveClient;
  readonly api: () => VectorStoresApi;
}

/** The commands of vector stores. With `ids` they act on those stores, else on the selected ones. */
export function addStoreCommands(context: IStoreContext): void {
  const { trans } = context;
  const rows = new RowCommands(ids.STORE_KIND, context);
  addCreating(context);
  rows.addRefresh(ids.REFRESH_STORES, trans.__('Refresh the vector stores'));
  rows.addOpen(ids.OPEN_STORE, trans.__('Open'));
  addFilling(context, rows);
  addUsing(context, rows);
  addDeleting(context, rows);
}

function addCreating(context: IStoreContext): void {
  const { commands, trans } = context;
  commands.addCommand(ids.CREATE_STORE, {
    label: trans.__('New vector store…'),
    caption: trans.__('Make files searchable by their meaning'),
    icon: addIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          file_ids: {
            type: 'array',
            items: { type: 'string' },
            description: 'Ids of the files to begin with'
          }
        }
      }
    },
    execute: args => create(context, Array.isArray(args.file_ids) ? args.file_ids.map(String) : [])
  });
}

async function create(context: IStoreContext, fileIds: readonly string[]): Promise<void> {
  const { client, api, model, details, trans } = context;
  await attempt(
    trans.__('The vector store was not created.'),
    async () => {
      const { createStoreDialog, listFiles } = await dialogs();
      const store = await createStoreDialog(api(), await listFiles(client), fileIds, trans);
      if (store) {
        model.put(store);
        await details.open(ids.STORE_KIND, store.id);
      }
    },
    trans
  );
}

function addFilling(context: IStoreContext, rows: RowCommands<IVectorStore>): void {
  const { commands, client, api, details, trans } = context;
  const failure = trans.__('The files were not added.');
  commands.addCommand(ids.ADD_TO_STORE, {
    label: trans.__('Add to a vector store…'),
    describedBy: {
      args: {
        type: 'object',
        properties: {
          file_id: { type: 'string', description: 'Id of the file to add' },
          ids: { type: 'array', items: { type: 'string' }, description: 'Ids of several files' }
        }
      }
    },
    execute: args =>
      attempt(
        failure,
        async () => {
          const files = typeof args.file_id === 'string' ? [args.file_id] : (argIds(args) ?? []);
          const { chooseStoreDialog } = await dialogs();
          const id = await chooseStoreDialog(await api().all(), trans);
          if (id === '') {
            await create(context, files);
          } else if (id !== null) {
            await api().addFiles(id, files);
            await details.open(ids.STORE_KIND, id);
          }
        },
        trans
      )
  });
  rows.add(ids.ADD_FILES, {
    label: trans.__('Add files…'),
    icon: addIcon,
    single: true,
    execute: ([id]) =>
      attempt(
        failure,
        async () => {
          const { chooseFilesDialog, listFiles } = await dialogs();
          const chosen = await chooseFilesDialog(await listFiles(client), trans);
          if (chosen && chosen.length > 0) {
            await api().addFiles(id, chosen);
          }
        },
        trans
      )
  });
}

function addUsing(
  { commands, api, model, trans }: IStoreContext,
  rows: RowCommands<IVectorStore>
): void {
  rows.add(ids.CHAT_STORE, {
    label: trans.__('Chat with these files'),
    single: true,
    execute: ([id]) => commands.execute(CHAT, { vector_store: id })
  });
  rows.add(ids.RENAME_STORE, {
    label: trans.__('Rename…'),
    icon: editIcon,
    single: true,
    execute: async chosen => {
      const { value } = await InputDialog.getText({
        title: trans.__('Rename the vector store'),
        text: model.find(chosen[0])?.name ?? '',
        okLabel: trans.__('Rename')
      });
      const name = value?.trim();
      if (name) {
        const failure = trans.__('The vector store was not renamed.');
        await rows.each(chosen, failure, id => api().rename(id, name));
      }
    }
  });
}

function addDeleting({ api, trans }: IStoreContext, rows: RowCommands<IVectorStore>): void {
  rows.addDelete(ids.DELETE_STORE, {
    fits: () => true,
    question: count => ({
      title: trans._n('Delete this vector store?', 'Delete %1 vector stores?', count, count),
      consequence: trans.__('The uploaded files stay.')
    }),
    name: store => store.name,
    failure: trans.__('The vector store was not deleted.'),
    delete: id => api().delete(id)
  });
}

/** Dialogs are loaded when the first is needed. */
function dialogs() {
  return import(/* webpackChunkName: "tabs" */ './dialogs');
}
