import { IDocumentManager } from '@jupyterlab/docmanager';
import {
  addIcon,
  deleteIcon,
  downloadIcon,
  offlineBoltIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';

import { IModel } from '../api';
import { ObjectListModel, perijoveIcon } from '../core';
import { addObjectKind, objectPlugin } from '../sidebar';
import { ModelsApi } from './api';
import { addModelCommands, IModelContext, MODEL_COMMANDS } from './commands';
import { modelSnippets } from './snippets';

/** Models: pull, register, load, try, delete. */
export const modelsPlugin = objectPlugin<[IDocumentManager]>({
  name: 'models',
  description: 'The Models section of the Perijove panel.',
  optional: [IDocumentManager],
  activate: (host, manager): void => {
    const { client, snippets, translator, trans } = host;
    const model = new ObjectListModel<IModel>(client, { path: '/v1/models', object: 'model' });
    const context: IModelContext = {
      ...host,
      api: new ModelsApi(client),
      model,
      picker: () =>
        // The embedded platform shares the machine of the Jupyter server, whose files Lab can browse.
        manager && client.status.current?.embedded
          ? async () =>
              (await import(/* webpackChunkName: "tabs" */ './picker')).pickWeights(
                manager,
                translator
              )
          : null
    };
    addModelCommands(context);
    addObjectKind(host, {
      model,
      followers: Object.values(MODEL_COMMANDS),
      palette: [MODEL_COMMANDS.pull, MODEL_COMMANDS.register, MODEL_COMMANDS.refresh],
      snippets: modelSnippets(model),
      detail: {
        kind: 'model',
        icon: perijoveIcon,
        label: id => id,
        create: async id =>
          (await import(/* webpackChunkName: "tabs" */ './detail')).createDetail(
            context,
            client,
            id
          )
      },
      section: {
        id: 'perijove-models',
        title: trans.__('Models'),
        rank: 10,
        toolbar: [
          {
            command: MODEL_COMMANDS.tryIt,
            icon: runIcon,
            label: trans.__('Chat with the selected model')
          },
          {
            command: MODEL_COMMANDS.load,
            icon: offlineBoltIcon,
            label: trans.__('Load the selected models')
          },
          {
            command: MODEL_COMMANDS.unload,
            icon: stopIcon,
            label: trans.__('Unload the selected models')
          },
          {
            command: MODEL_COMMANDS.remove,
            icon: deleteIcon,
            label: trans.__('Delete the selected models')
          },
          {
            command: MODEL_COMMANDS.register,
            icon: addIcon,
            label: trans.__('Register a model file or folder')
          },
          {
            command: MODEL_COMMANDS.pull,
            icon: downloadIcon,
            label: trans.__('Pull a model from the hub')
          }
        ],
        create: async () =>
          (await import(/* webpackChunkName: "sections" */ './section')).createSection(
            context,
            snippets
          )
      }
    });
  }
});
