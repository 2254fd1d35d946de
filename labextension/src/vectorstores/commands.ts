import { InputDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, deleteIcon, editIcon, refreshIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { IPerijoveClient } from '../api';
import {
  argIds,
  attempt,
  confirmDelete,
  IDetailRegistry,
  IPerijovePreferences,
  ObjectListModel,
  ROWS_SCHEMA
} from '../core';
import { VectorStoresApi } from './api';
import * as ids from './ids';
import { IVectorStore } from './types';

/** What the commands of vector stores work with. */
export interface IStoreContext {
  readonly commands: CommandRegistry;
  readonly client: IPerijoveClient;
  readonly model: ObjectListModel<IVectorStore>;
  readonly api: () => VectorStoresApi;
  readonly details: IDetailRegistry;
  readonly preferences: IPerijovePreferences;
  readonly trans: TranslationBundle;
}

/** The commands of vector stores. With `ids` they act on those stores, else on the selected ones. */
export function addStoreCommands(context: IStoreContext): void {
  addCreating(context);
  addFilling(context);
  addRowCommands(context);
  addDeleting(context);
}

function addCreating(context: IStoreContext): void {
  const { commands, model, trans } = context;
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
  commands.addCommand(ids.REFRESH_STORES, {
    label: trans.__('Refresh the vector stores'),
    icon: refreshIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: () => model.reload()
  });
}

async function create(context: IStoreContext, fileIds: readonly string[]): Promise<void> {
  const { client, api, model, details, trans } = context;
  await attempt(
    trans.__('The vector store was not created.'),
    async () => {
      const { createStoreDialog, listFiles } = await import('./dialogs');
      const store = await createStoreDialog(api(), await listFiles(client), fileIds, trans);
      if (store) {
        model.put(store);
        await details.open(ids.STORE_KIND, store.id);
      }
    },
    trans
  );
}

function addFilling(context: IStoreContext): void {
  const { commands, client, api, model, details, trans } = context;
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
          const { chooseStoreDialog } = await import('./dialogs');
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
  commands.addCommand(ids.ADD_FILES, {
    label: trans.__('Add files…'),
    icon: addIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length === 1,
    execute: args =>
      attempt(
        failure,
        async () => {
          const { chooseFilesDialog, listFiles } = await import('./dialogs');
          const chosen = await chooseFilesDialog(await listFiles(client), trans);
          if (chosen && chosen.length > 0) {
            await api().addFiles(targets(args, model)[0], chosen);
          }
        },
        trans
      )
  });
}

function addRowCommands({ commands, api, model, details, trans }: IStoreContext): void {
  commands.addCommand(ids.OPEN_STORE, {
    label: trans.__('Open'),
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length > 0,
    execute: async args => {
      for (const id of targets(args, model)) {
        await details.open(ids.STORE_KIND, id);
      }
    }
  });
  commands.addCommand(ids.CHAT_STORE, {
    label: trans.__('Chat with these files'),
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length === 1,
    execute: args => commands.execute('perijove:chat', { vector_store: targets(args, model)[0] })
  });
  commands.addCommand(ids.RENAME_STORE, {
    label: trans.__('Rename…'),
    icon: editIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length === 1,
    execute: async args => {
      const [id] = targets(args, model);
      const { value } = await InputDialog.getText({
        title: trans.__('Rename the vector store'),
        text: model.find(id)?.name ?? '',
        okLabel: trans.__('Rename')
      });
      if (value?.trim()) {
        await attempt(
          trans.__('The vector store was not renamed.'),
          async () => model.put(await api().rename(id, value.trim())),
          trans
        );
      }
    }
  });
}

function addDeleting(context: IStoreContext): void {
  const { commands, api, model, details, preferences, trans } = context;
  commands.addCommand(ids.DELETE_STORE, {
    label: trans.__('Delete…'),
    icon: deleteIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length > 0,
    execute: async args => {
      const chosen = targets(args, model);
      const confirmed = await confirmDelete(
        {
          title: trans._n(
            'Delete this vector store?',
            'Delete %1 vector stores?',
            chosen.length,
            chosen.length
          ),
          names: chosen.map(id => model.find(id)?.name || id),
          consequence: trans.__('The uploaded files stay.')
        },
        preferences,
        trans
      );
      for (const id of confirmed ? chosen : []) {
        await attempt(
          trans.__('The vector store was not deleted.'),
          async () => {
            await api().delete(id);
            model.remove(id);
            details.close(ids.STORE_KIND, id);
          },
          trans
        );
      }
    }
  });
}

function targets(
  args: ReadonlyPartialJSONObject,
  model: ObjectListModel<IVectorStore>
): readonly string[] {
  return argIds(args) ?? model.selected.map(store => store.id);
}
