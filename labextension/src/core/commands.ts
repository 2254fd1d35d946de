import { JupyterFrontEnd } from '@jupyterlab/application';
import { TranslationBundle } from '@jupyterlab/translation';

import { COPY_ID, INSERT_CLIENT, INSERT_CURL, INSERT_MAGIC, OPEN_DETAIL } from './commandIds';
import { IDetailRegistry } from './detail';
import { copyText } from './notifications';
import { SnippetFlavour } from './preferences';
import { argIds, ROWS_SCHEMA } from './rowCommands';
import { ISnippets } from './snippets';

/** Add the commands that every kind of object has. */
export function addCoreCommands(
  commands: JupyterFrontEnd['commands'],
  details: IDetailRegistry,
  snippets: ISnippets,
  trans: TranslationBundle
): void {
  commands.addCommand(OPEN_DETAIL, {
    label: trans.__('Open'),
    describedBy: {
      args: {
        type: 'object',
        required: ['kind', 'id'],
        properties: {
          kind: { type: 'string', description: 'model, file, job, vector-store, cluster or chat' },
          id: { type: 'string', description: 'Id of the object' }
        }
      }
    },
    execute: args => details.open(String(args.kind), String(args.id))
  });
  commands.addCommand(COPY_ID, {
    label: args => ((argIds(args)?.length ?? 0) > 1 ? trans.__('Copy ids') : trans.__('Copy id')),
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => (argIds(args)?.length ?? 0) > 0,
    execute: args => copyText((argIds(args) ?? []).join('\n'), trans)
  });
  const insert = (id: string, flavour: SnippetFlavour, label: string): void => {
    commands.addCommand(id, {
      label,
      caption: trans.__('Insert code for this object into the current notebook'),
      describedBy: { args: ROWS_SCHEMA },
      isEnabled: args => argIds(args)?.length === 1,
      execute: args => snippets.insert(String(args.kind), argIds(args)?.[0] ?? '', flavour)
    });
  };
  insert(INSERT_CLIENT, 'client', trans.__('Python client'));
  insert(INSERT_MAGIC, 'magic', trans.__('Magic'));
  insert(INSERT_CURL, 'curl', trans.__('curl'));
}
