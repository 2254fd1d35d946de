import { TranslationBundle } from '@jupyterlab/translation';
import {
  addIcon,
  closeIcon,
  deleteIcon,
  downloadIcon,
  LabIcon,
  launchIcon,
  offlineBoltIcon,
  refreshIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import { IModel } from '../api';
import {
  argIds,
  attempt,
  confirmDelete,
  IDetailRegistry,
  IPerijovePreferences,
  ObjectListModel,
  ROWS_SCHEMA
} from '../core';
import { ModelsApi } from './api';
import { showAliasForm, showPullForm, showRegisterForm } from './forms';

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

/** The chat playground, which takes `{model}`. */
const CHAT = 'perijove:chat';

export interface IModelContext {
  readonly commands: CommandRegistry;
  readonly api: ModelsApi;
  readonly model: ObjectListModel<IModel>;
  readonly details: IDetailRegistry;
  readonly preferences: IPerijovePreferences;
  /** Asks for a file of the platform's machine; null while that is not the machine of the Jupyter server. */
  readonly picker: () => (() => Promise<string | null>) | null;
  readonly trans: TranslationBundle;
}

export function addModelCommands(context: IModelContext): void {
  addCreating(context);
  addOpening(context);
  addControls(context);
  addDeleting(context);
}

/** The models that a command is about: those of its arguments, else the selected ones. */
function targets(context: IModelContext, ids: readonly string[] | null): readonly IModel[] {
  return ids === null
    ? context.model.selected
    : ids.map(id => context.model.find(id)).filter((model): model is IModel => model !== undefined);
}

function addCreating({ commands, api, model, picker, trans }: IModelContext): void {
  const none = { args: { type: 'object', properties: {} } } as const;
  commands.addCommand(MODEL_COMMANDS.pull, {
    label: trans.__('Pull a model from the hub…'),
    icon: downloadIcon,
    describedBy: none,
    execute: () => showPullForm(api, created => model.put(created), trans)
  });
  commands.addCommand(MODEL_COMMANDS.register, {
    label: trans.__('Register a model file or folder…'),
    icon: addIcon,
    describedBy: none,
    execute: () => showRegisterForm(api, created => model.put(created), picker(), trans)
  });
  commands.addCommand(MODEL_COMMANDS.refresh, {
    label: trans.__('Read the list of models again'),
    icon: refreshIcon,
    describedBy: none,
    execute: () => model.reload()
  });
}

function addOpening(context: IModelContext): void {
  const { commands, details, trans } = context;
  commands.addCommand(MODEL_COMMANDS.open, {
    label: trans.__('Open'),
    icon: launchIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => (argIds(args) ?? context.model.selected).length > 0,
    execute: async args => {
      for (const id of argIds(args) ?? context.model.selected.map(model => model.id)) {
        await details.open('model', id);
      }
    }
  });
  const chattable = (ids: readonly string[] | null): IModel | null => {
    const [model, ...more] = targets(context, ids);
    return model && more.length === 0 && model.kind === 'chat' ? model : null;
  };
  commands.addCommand(MODEL_COMMANDS.tryIt, {
    label: trans.__('Try it'),
    caption: trans.__('Chat with this model'),
    icon: runIcon,
    describedBy: { args: ROWS_SCHEMA },
    isVisible: () => commands.hasCommand(CHAT),
    isEnabled: args => {
      const model = chattable(argIds(args));
      return model !== null && model.state !== 'pulling' && model.state !== 'failed';
    },
    execute: args => commands.execute(CHAT, { model: chattable(argIds(args))?.id ?? '' })
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

function addControls(context: IModelContext): void {
  const { commands, api, model, trans } = context;
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
  for (const control of controls) {
    const fitting = (ids: readonly string[] | null): readonly IModel[] =>
      targets(context, ids).filter(item => control.states.includes(item.state));
    commands.addCommand(control.command, {
      label: control.label,
      icon: control.icon,
      describedBy: { args: ROWS_SCHEMA },
      isEnabled: args => fitting(argIds(args)).length > 0,
      execute: async args => {
        for (const { id } of fitting(argIds(args))) {
          const act = async (): Promise<void> => model.put(await api.control(id, control.action));
          await attempt(control.failure, act, trans);
        }
      }
    });
  }
}

function addDeleting(context: IModelContext): void {
  const { commands, api, model, details, preferences, trans } = context;
  commands.addCommand(MODEL_COMMANDS.alias, {
    label: trans.__('Add a name…'),
    icon: addIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(context, argIds(args)).length === 1,
    execute: args =>
      showAliasForm(api, targets(context, argIds(args))[0].id, changed => model.put(changed), trans)
  });
  commands.addCommand(MODEL_COMMANDS.remove, {
    label: trans.__('Delete…'),
    icon: deleteIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(context, argIds(args)).length > 0,
    execute: async args => {
      const names = targets(context, argIds(args)).map(item => item.id);
      const question = {
        title: trans._n('Delete %1 model?', 'Delete %1 models?', names.length),
        names,
        consequence: trans.__(
          'What the platform pulled or trained is deleted; files that were registered by their path stay.'
        )
      };
      if (names.length === 0 || !(await confirmDelete(question, preferences, trans))) {
        return;
      }
      for (const id of names) {
        const act = async (): Promise<void> => {
          await api.delete(id);
          model.remove(id);
          details.close('model', id);
        };
        await attempt(trans.__('The model was not deleted.'), act, trans);
      }
    }
  });
}
