import { Widget } from '@lumino/widgets';

import { createListSection, ISnippets } from '../core';
import { modelColumns } from './columns';
import { IModelContext, MODEL_COMMANDS } from './commands';

/** Commands of a model's context menu. */
const ROW_COMMANDS = [
  MODEL_COMMANDS.open,
  MODEL_COMMANDS.tryIt,
  '-',
  MODEL_COMMANDS.load,
  MODEL_COMMANDS.unload,
  MODEL_COMMANDS.cancel,
  MODEL_COMMANDS.alias,
  '-',
  MODEL_COMMANDS.remove
];

/** The list of models in the side bar. */
export function createSection(context: IModelContext, snippets: ISnippets): Widget {
  const { commands, model, trans } = context;
  return createListSection(
    {
      model,
      kind: 'model',
      label: trans.__('Models'),
      columns: modelColumns(trans),
      commands,
      rowCommands: ROW_COMMANDS,
      openCommand: MODEL_COMMANDS.open,
      deleteCommand: MODEL_COMMANDS.remove,
      empty: {
        title: trans.__('No models yet'),
        text: trans.__('Pull one from a hub, or register a GGUF file that is on this machine.'),
        actions: [
          { label: trans.__('Pull a model'), command: MODEL_COMMANDS.pull },
          { label: trans.__('Register a file'), command: MODEL_COMMANDS.register }
        ]
      },
      trans
    },
    snippets
  );
}
