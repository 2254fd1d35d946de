import { downloadIcon, fileUploadIcon, runIcon, searchIcon } from '@jupyterlab/ui-components';

import { IFile, IUploads } from '../api';
import { CREATE_JOB, IRowsContext, NO_ARGUMENTS, RowCommands } from '../core';
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

/** The command of another panel, which takes `{file_id}`. */
const ADD_TO_STORE = 'perijove:add-to-vector-store';

/** What the commands of files work with. */
export interface IFileContext extends IRowsContext<IFile> {
  readonly api: FilesApi;
  readonly uploads: IUploads;
}

/** The commands of files. With `ids` they act on those files, else on the selected ones. */
export function addFileCommands(context: IFileContext): void {
  const { trans } = context;
  const rows = new RowCommands('file', context);
  addUploading(context);
  rows.addRefresh(FILE_COMMANDS.refresh, trans.__('Read the list of files again'));
  rows.addOpen(FILE_COMMANDS.open, trans.__('Open preview'));
  addUsing(context, rows);
  addDeleting(context, rows);
}

function addUploading({ commands, uploads, preferences, trans }: IFileContext): void {
  commands.addCommand(FILE_COMMANDS.upload, {
    label: trans.__('Upload files…'),
    icon: fileUploadIcon,
    describedBy: NO_ARGUMENTS,
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
}

function addUsing({ commands, api, model, trans }: IFileContext, rows: RowCommands<IFile>): void {
  const known = (file?: IFile): boolean => file !== undefined;
  rows.add(FILE_COMMANDS.download, {
    label: trans.__('Download'),
    icon: downloadIcon,
    fits: known,
    execute: ids => ids.forEach(id => api.download(id, model.find(id)?.filename ?? id))
  });
  rows.add(FILE_COMMANDS.fineTune, {
    label: trans.__('Fine-tune with this file…'),
    icon: runIcon,
    single: true,
    fits: file => file?.purpose === 'fine-tune',
    isVisible: () => commands.hasCommand(CREATE_JOB),
    execute: ([id]) => commands.execute(CREATE_JOB, { training_file: id })
  });
  rows.add(FILE_COMMANDS.addToStore, {
    label: trans.__('Add to a vector store…'),
    icon: searchIcon,
    single: true,
    fits: known,
    isVisible: () => commands.hasCommand(ADD_TO_STORE),
    execute: ([id]) => commands.execute(ADD_TO_STORE, { file_id: id })
  });
}

function addDeleting({ api, trans }: IFileContext, rows: RowCommands<IFile>): void {
  rows.addDelete(FILE_COMMANDS.remove, {
    question: count => ({
      title: trans._n('Delete %1 file?', 'Delete %1 files?', count),
      consequence: trans.__('This cannot be undone. Models that were trained with it stay.')
    }),
    name: file => file.filename,
    failure: trans.__('The file was not deleted.'),
    delete: id => api.delete(id)
  });
}
