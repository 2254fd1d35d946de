import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { UUID } from '@lumino/coreutils';

import { IPerijoveClient } from '../api';
import { CHAT, IDetailRegistry, NotebookWriter, perijoveIcon } from '../core';
import { ChatStorage } from './storage';
import type { IChatStart } from './widget';

/** The kind of tab of a conversation. */
const KIND = 'chat';

/** The chat playground. */
export const chatPlugin: JupyterFrontEndPlugin<void> = {
  id: '@perijove/labextension:chat',
  description: 'A playground to chat with models of the Perijove platform.',
  autoStart: true,
  requires: [IPerijoveClient, IDetailRegistry, IRenderMimeRegistry],
  optional: [ITranslator, ICommandPalette, ILauncher, INotebookTracker, IStateDB],
  activate: (
    app: JupyterFrontEnd,
    client: IPerijoveClient,
    details: IDetailRegistry,
    rendermime: IRenderMimeRegistry,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    notebooks: INotebookTracker | null,
    state: IStateDB | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('perijove');
    const storage = new ChatStorage(state);
    const starts = new Map<string, IChatStart>();

    details.add({
      kind: KIND,
      icon: perijoveIcon,
      label: () => trans.__('Chat'),
      create: async id => {
        const { ChatWidget } = await import(/* webpackChunkName: "tabs" */ './widget');
        const start = starts.get(id) ?? {};
        starts.delete(id);
        return new ChatWidget(id, start, {
          client,
          rendermime,
          notebooks: new NotebookWriter(app, notebooks),
          storage,
          trans
        });
      }
    });
    app.commands.addCommand(CHAT, {
      label: trans.__('Chat with a model'),
      caption: trans.__('Open a chat playground'),
      icon: perijoveIcon,
      describedBy: {
        args: {
          type: 'object',
          properties: {
            model: { type: 'string', description: 'Id of the model to ask' },
            vector_store: {
              type: 'string',
              description: 'Id of a vector store that the answers rest on'
            }
          }
        }
      },
      execute: args => {
        const id = UUID.uuid4();
        starts.set(id, {
          model: typeof args.model === 'string' ? args.model : undefined,
          vectorStore: typeof args.vector_store === 'string' ? args.vector_store : undefined
        });
        return details.open(KIND, id);
      }
    });
    palette?.addItem({ command: CHAT, category: trans.__('Perijove') });
    launcher?.add({ command: CHAT, category: trans.__('Perijove'), rank: 2 });
  }
};
