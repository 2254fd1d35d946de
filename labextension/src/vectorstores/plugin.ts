import { addIcon, deleteIcon, refreshIcon } from '@jupyterlab/ui-components';

import { ObjectListModel, perijoveIcon } from '../core';
import { addObjectKind, objectPlugin } from '../sidebar';
import { VectorStoresApi } from './api';
import { addStoreCommands, IStoreContext } from './commands';
import * as ids from './ids';
import { SEARCH_KIND, searchSnippets, storeSnippets } from './snippets';
import { IVectorStore } from './types';

/** Vector stores: the list, a store's tab with its search, the dialogs that fill it. */
export const vectorStoresPlugin = objectPlugin({
  name: 'vector-stores',
  description: 'Vector stores of the Perijove platform.',
  activate: (host): void => {
    const { client, snippets, trans } = host;
    const model = new ObjectListModel<IVectorStore>(client, {
      path: '/v1/vector_stores',
      object: 'vector_store'
    });
    let made: VectorStoresApi | undefined;
    const api = () => (made ??= new VectorStoresApi(client));
    const context: IStoreContext = { ...host, model, api };
    addStoreCommands(context);
    snippets.add(SEARCH_KIND, searchSnippets);
    addObjectKind(host, {
      model,
      followers: [ids.DELETE_STORE],
      palette: [ids.CREATE_STORE, ids.REFRESH_STORES],
      snippets: storeSnippets,
      detail: {
        kind: ids.STORE_KIND,
        icon: perijoveIcon,
        label: () => trans.__('Vector store'),
        create: async id => {
          const { StoreDetailWidget } = await import(/* webpackChunkName: "tabs" */ './detail');
          return new StoreDetailWidget(id, context, snippets);
        }
      },
      section: {
        id: 'perijove-vector-stores',
        title: trans.__('Vector stores'),
        rank: 40,
        toolbar: [
          {
            command: ids.DELETE_STORE,
            icon: deleteIcon,
            label: trans.__('Delete the selected vector stores')
          },
          {
            command: ids.REFRESH_STORES,
            icon: refreshIcon,
            label: trans.__('Refresh the vector stores')
          },
          { command: ids.CREATE_STORE, icon: addIcon, label: trans.__('New vector store') }
        ],
        create: async () => {
          const { createSection } = await import(/* webpackChunkName: "sections" */ './section');
          return createSection(context, snippets);
        }
      }
    });
  }
});
