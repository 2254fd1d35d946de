import {
  addIcon,
  closeIcon,
  downloadIcon,
  LabIcon,
  offlineBoltIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';

import { IModel } from '../api';
import { CHAT, IRowsContext, NO_ARGUMENTS, RowCommands } from '../core';
import { ModelsApi } from './api';

export const MODEL_COMMANDS = {
  pull: 'perijove:pull-model',
  register: 'perijove:register-model',
  open: 'perijove:open-model',
  tryIt: 'perijove:try-model',
  load: 'perijove:load-model',
  unload: 'perijove:unload-model',
  cancel: 'perijove:cancel-pull',
  alias: 'perijove:add-model-alias',
  remove: 'perijove:delete-model',
  refresh: 'perijove:refresh-models'
} as const;

/** What the commands of models work with. */
export interface IModelContext extends IRowsContext<IModel> {
  readonly api: ModelsApi;
  /** Asks for a file of the platform's machine; null while that is not the machine of the Jupyter server. */
  readonly picker: () => (() => Promise<string | null>) | null;
}

/** The commands of models. With `ids` they act on those models, else on the selected ones. */
export function addModelCommands(context: IModelContext): void {
  const rows = new RowCommands('model', context);
  addCreating(context);
  rows.addRefresh(MODEL_COMMANDS.refresh, context.trans.__('Read the list of models again'));
  rows.addOpen(MODEL_COMMANDS.open, context.trans.__('Open'));
  addControls(context, rows);
  addUsing(context, rows);
  addDeleting(context, rows);
}

function addCreating({ commands, api, model, picker, trans }: IModelContext): void {
  const put = (created: IModel): void => model.put(created);
  const forms = () => import(/* webpackChunkName: "tabs" */ './forms');
  commands.addCommand(MODEL_COMMANDS.pull, {
    label: trans.__('Pull a model from the hub…'),
    icon: downloadIcon,
    describedBy: NO_ARGUMENTS,
    execute: async () => (await forms()).showPullForm(api, put, trans)
  });
  commands.addCommand(MODEL_COMMANDS.register, {
    label: trans.__('Register a model file or folder…'),
    icon: addIcon,
    describedBy: NO_ARGUMENTS,
    execute: async () => (await forms()).showRegisterForm(api, put, picker(), trans)
  });
}

function addUsing({ commands, api, model, trans }: IModelContext, rows: RowCommands<IModel>): void {
  rows.add(MODEL_COMMANDS.tryIt, {
    label: trans.__('Try it'),
    caption: trans.__('Chat with this model'),
    icon: runIcon,
    single: true,
    fits: item => item?.kind === 'chat' && item.state !== 'pulling' && item.state !== 'failed',
    isVisible: () => commands.hasCommand(CHAT),
    execute: ([id]) => commands.execute(CHAT, { model: id })
  });
  rows.add(MODEL_COMMANDS.alias, {
    label: trans.__('Add a name…'),
    icon: addIcon,
    single: true,
    fits: item => item !== undefined,
    execute: async ([id]) => {
      const { showAliasForm } = await import(/* webpackChunkName: "tabs" */ './forms');
      await showAliasForm(api, id, changed => model.put(changed), trans);
    }
  });
}

interface IControl {
  readonly command: string;
  readonly label: string;
  readonly icon: LabIcon;
  readonly action: 'load' | 'unload' | 'cancel';
  readonly states: readonly IModel['state'][];
  readonly failure: string;
}

function addControls({ api, trans }: IModelContext, rows: RowCommands<IModel>): void {
  const controls: readonly IControl[] = [
    {
      command: MODEL_COMMANDS.load,
      label: trans.__('Load'),
      icon: offlineBoltIcon,
      action: 'load',
      states: ['available', 'failed'],
      failure: trans.__('The model was not loaded.')
    },
    {
      command: MODEL_COMMANDS.unload,
      label: trans.__('Unload'),
      icon: stopIcon,
      action: 'unload',
      states: ['loaded', 'loading'],
      failure: trans.__('The model was not unloaded.')
    },
    {
      command: MODEL_COMMANDS.cancel,
      label: trans.__('Cancel the pull'),
      icon: closeIcon,
      action: 'cancel',
      states: ['pulling'],
      failure: trans.__('The pull was not cancelled.')
    }
  ];
  for (const { command, label, icon, action, states, failure } of controls) {
    const fits = (item?: IModel): boolean => item !== undefined && states.includes(item.state);
    rows.addEach(command, { label, icon, fits }, failure, id => api.control(id, action));
  }
}

function addDeleting({ api, trans }: IModelContext, rows: RowCommands<IModel>): void {
  rows.addDelete(MODEL_COMMANDS.remove, {
    question: count => ({
      title: trans._n('Delete %1 model?', 'Delete %1 models?', count),
      consequence: trans.__(
        'What the platform pulled or trained is deleted; files that were registered by their path stay.'
      )
    }),
    failure: trans.__('The model was not deleted.'),
    delete: id => api.delete(id)
  });
}
