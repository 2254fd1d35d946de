import { TranslationBundle } from '@jupyterlab/translation';
import {
  deleteIcon,
  downloadIcon,
  fileUploadIcon,
  launchIcon,
  refreshIcon,
  runIcon,
  searchIcon
} from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';

import { IFile, IUploads } from '../api';
import {
  argIds,
  attempt,
  confirmDelete,
  IDetailRegistry,
  IPerijovePreferences,
  ObjectListModel,
  ROWS_SCHEMA
} from '../core';
import { FilesApi } from './api';

export const FILE_COMMANDS = {
  upload: 'perijove:upload-files',
  open: 'perijove:open-file',
  download: 'perijove:download-file',
  fineTune: 'perijove:fine-tune-file',
  addToStore: 'perijove:index-file',
  remove: 'perijove:delete-file',
  refresh: 'perijove:refresh-files'
} as const;

/** Commands of other panels: the form for a job takes `{training_file}`, adding to a store `{file_id}`. */
const CREATE_JOB = 'perijove:create-job';
const ADD_TO_STORE = 'perijove:add-to-vector-store';

export interface IFileContext {
  readonly commands: CommandRegistry;
  readonly api: FilesApi;
  readonly uploads: IUploads;
  readonly model: ObjectListModel<IFile>;
  readonly details: IDetailRegistry;
  readonly preferences: IPerijovePreferences;
  readonly trans: TranslationBundle;
}

export function addFileCommands(context: IFileContext): void {
  addUploading(context);
  addOpening(context);
  addUsing(context);
  addDeleting(context);
}

/** The files that a command is about: those of its arguments, else the selected ones. */
function targets({ model }: IFileContext, ids: readonly string[] | null): readonly IFile[] {
  return ids === null
    ? model.selected
    : ids.map(id => model.find(id)).filter((file): file is IFile => file !== undefined);
}

function addUploading({ commands, uploads, model, preferences, trans }: IFileContext): void {
  const none = { args: { type: 'object', properties: {} } } as const;
  commands.addCommand(FILE_COMMANDS.upload, {
    label: trans.__('Upload files…'),
    icon: fileUploadIcon,
    describedBy: none,
    execute: () => {
      const input = document.createElement('input');
      input.type = 'file';
      input.multiple = true;
      input.onchange = () => {
        for (const file of Array.from(input.files ?? [])) {
          uploads.start(file, preferences.values.uploadPurpose);
        }
      };
      input.click();
    }
  });
  commands.addCommand(FILE_COMMANDS.refresh, {
    label: trans.__('Read the list of files again'),
    icon: refreshIcon,
    describedBy: none,
    execute: () => model.reload()
  });
}

function addOpening(context: IFileContext): void {
  const { commands, api, details, model, trans } = context;
  commands.addCommand(FILE_COMMANDS.open, {
    label: trans.__('Open preview'),
    icon: launchIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => (argIds(args) ?? model.selected).length > 0,
    execute: async args => {
      for (const id of argIds(args) ?? model.selected.map(file => file.id)) {
        await details.open('file', id);
      }
    }
  });
  commands.addCommand(FILE_COMMANDS.download, {
    label: trans.__('Download'),
    icon: downloadIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(context, argIds(args)).length > 0,
    execute: args => {
      targets(context, argIds(args)).forEach(file => api.download(file.id, file.filename));
    }
  });
}

function addUsing(context: IFileContext): void {
  const { commands, trans } = context;
  commands.addCommand(FILE_COMMANDS.fineTune, {
    label: trans.__('Fine-tune with this file…'),
    icon: runIcon,
    describedBy: { args: ROWS_SCHEMA },
    isVisible: () => commands.hasCommand(CREATE_JOB),
    isEnabled: args => {
      const files = targets(context, argIds(args));
      return files.length === 1 && files[0].purpose === 'fine-tune';
    },
    execute: args =>
      commands.execute(CREATE_JOB, { training_file: targets(context, argIds(args))[0].id })
  });
  commands.addCommand(FILE_COMMANDS.addToStore, {
    label: trans.__('Add to a vector store…'),
    icon: searchIcon,
    describedBy: { args: ROWS_SCHEMA },
    isVisible: () => commands.hasCommand(ADD_TO_STORE),
    isEnabled: args => targets(context, argIds(args)).length === 1,
    execute: args =>
      commands.execute(ADD_TO_STORE, { file_id: targets(context, argIds(args))[0].id })
  });
}

function addDeleting(context: IFileContext): void {
  const { commands, api, model, details, preferences, trans } = context;
  commands.addCommand(FILE_COMMANDS.remove, {
    label: trans.__('Delete…'),
    icon: deleteIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(context, argIds(args)).length > 0,
    execute: async args => {
      const files = targets(context, argIds(args));
      const question = {
        title: trans._n('Delete %1 file?', 'Delete %1 files?', files.length),
        names: files.map(file => file.filename),
        consequence: trans.__('This cannot be undone. Models that were trained with it stay.')
      };
      if (files.length === 0 || !(await confirmDelete(question, preferences, trans))) {
        return;
      }
      for (const { id } of files) {
        const act = async (): Promise<void> => {
          await api.delete(id);
          model.remove(id);
          details.close('file', id);
        };
        await attempt(trans.__('The file was not deleted.'), act, trans);
      }
    }
  });
}
