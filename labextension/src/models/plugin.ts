import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import {
  addIcon,
  deleteIcon,
  downloadIcon,
  offlineBoltIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';

import { IModel, IPerijoveClient } from '../api';
import {
  IDetailRegistry,
  IPerijovePreferences,
  ISnippets,
  ObjectListModel,
  perijoveIcon
} from '../core';
import { addObjectKind, IPerijovePanel } from '../sidebar';
import { ModelsApi } from './api';
import { addModelCommands, IModelContext, MODEL_COMMANDS } from './commands';
import { modelSnippets } from './snippets';

/** Models: pull, register, load, try, delete. */
export const modelsPlugin: JupyterFrontEndPlugin<void> = {
  id: '@perijove/labextension:models',
  description: 'The Models section of the Perijove panel.',
  autoStart: true,
  requires: [IPerijoveClient, IPerijovePanel, IDetailRegistry, ISnippets, IPerijovePreferences],
  optional: [ICommandPalette, IDocumentManager, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    client: IPerijoveClient,
    panel: IPerijovePanel,
    details: IDetailRegistry,
    snippets: ISnippets,
    preferences: IPerijovePreferences,
    palette: ICommandPalette | null,
    manager: IDocumentManager | null,
    maybeTranslator: ITranslator | null
  ): void => {
    const translator = maybeTranslator ?? nullTranslator;
    const trans = translator.load('perijove');
    const { commands } = app;
    const model = new ObjectListModel<IModel>(client, { path: '/v1/models', object: 'model' });
    const context: IModelContext = {
      commands,
      api: new ModelsApi(client),
      model,
      details,
      preferences,
      picker: () =>
        // The embedded platform shares the machine of the Jupyter server, whose files Lab can browse.
        manager && client.status.current?.embedded
          ? async () =>
              (await import(/* webpackChunkName: "tabs" */ './picker')).pickWeights(
                manager,
                translator
              )
          : null,
      trans
    };
    addModelCommands(context);
    const host = { commands, panel, details, snippets, palette, trans };
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
};
