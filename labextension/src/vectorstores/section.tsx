import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { createListSection, formatBytes, IColumn, ISnippets } from '../core';
import { IStoreContext } from './commands';
import * as ids from './ids';
import { Expiry, fileCounts, StateBadge, stateLabel } from './StoreState';
import { IVectorStore } from './types';

/** The list of vector stores in the side panel. */
export function createSection(context: IStoreContext, snippets: ISnippets): Widget {
  const { model, commands, trans } = context;
  return createListSection(
    {
      model,
      kind: ids.STORE_KIND,
      label: trans.__('Vector stores'),
      columns: storeColumns(trans),
      commands,
      rowCommands: [
        ids.OPEN_STORE,
        ids.CHAT_STORE,
        ids.ADD_FILES,
        ids.RENAME_STORE,
        '-',
        ids.DELETE_STORE
      ],
      openCommand: ids.OPEN_STORE,
      deleteCommand: ids.DELETE_STORE,
      empty: {
        title: trans.__('No vector stores'),
        text: trans.__('A vector store finds passages of your documents by their meaning.'),
        actions: [{ label: trans.__('New vector store…'), command: ids.CREATE_STORE }]
      },
      name: store => store.name || store.id,
      trans
    },
    snippets
  );
}

function storeColumns(trans: TranslationBundle): readonly IColumn<IVectorStore>[] {
  return [
    {
      id: 'name',
      title: trans.__('Name'),
      value: store => store.name || store.id,
      render: store => <span title={store.id}>{store.name || store.id}</span>,
      width: 'minmax(70px, 1fr)'
    },
    {
      id: 'status',
      title: trans.__('State'),
      value: store => stateLabel(store.status, trans),
      render: store => <StateBadge status={store.status} trans={trans} />,
      width: '84px'
    },
    {
      id: 'files',
      title: trans.__('Files'),
      value: store => store.file_counts.total,
      render: store => {
        const { completed, total } = store.file_counts;
        return (
          <span title={fileCounts(store, trans)}>
            {completed === total ? total : `${completed}/${total}`}
          </span>
        );
      },
      width: '48px',
      align: 'end'
    },
    {
      id: 'size',
      title: trans.__('Size'),
      value: store => store.usage_bytes,
      render: store => formatBytes(store.usage_bytes),
      width: '64px',
      wide: true,
      align: 'end'
    },
    {
      id: 'expires',
      title: trans.__('Expires'),
      value: store => store.expires_at ?? Number.MAX_SAFE_INTEGER,
      render: store => <Expiry at={store.expires_at} trans={trans} />,
      width: '84px',
      wide: true
    }
  ];
}
