import {
  deleteIcon,
  downloadIcon,
  fileIcon,
  fileUploadIcon,
  runIcon,
  searchIcon
} from '@jupyterlab/ui-components';

import { IFile, IUploads } from '../api';
import { ObjectListModel } from '../core';
import { addObjectKind, objectPlugin } from '../sidebar';
import { FilesApi } from './api';
import { addFileCommands, FILE_COMMANDS, IFileContext } from './commands';
import { fileSnippets } from './snippets';

/** Files: upload, preview, validate, use, delete. */
export const filesPlugin = objectPlugin({
  name: 'files',
  description: 'The Files section of the Perijove panel.',
  activate: (host): void => {
    const { client, snippets, trans } = host;
    const model = new ObjectListModel<IFile>(client, { path: '/v1/files', object: 'file' });
    const { uploads } = client;
    const context: IFileContext = { ...host, api: new FilesApi(client), uploads, model };
    addFileCommands(context);
    uploads.changed.connect(() => takeResults(uploads, model), model);
    addObjectKind(host, {
      model,
      followers: Object.values(FILE_COMMANDS),
      palette: [FILE_COMMANDS.upload, FILE_COMMANDS.refresh],
      snippets: fileSnippets,
      detail: {
        kind: 'file',
        icon: fileIcon,
        label: id => id,
        create: async id =>
          (await import(/* webpackChunkName: "tabs" */ './detail')).createDetail(
            context,
            client,
            id
          )
      },
      section: {
        id: 'perijove-files',
        title: trans.__('Files'),
        rank: 20,
        toolbar: [
          {
            command: FILE_COMMANDS.fineTune,
            icon: runIcon,
            label: trans.__('Fine-tune with the selected file')
          },
          {
            command: FILE_COMMANDS.addToStore,
            icon: searchIcon,
            label: trans.__('Add the selected file to a vector store')
          },
          {
            command: FILE_COMMANDS.download,
            icon: downloadIcon,
            label: trans.__('Download the selected files')
          },
          {
            command: FILE_COMMANDS.remove,
            icon: deleteIcon,
            label: trans.__('Delete the selected files')
          },
          { command: FILE_COMMANDS.upload, icon: fileUploadIcon, label: trans.__('Upload files') }
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

/** Uploads that are done become rows of the list. */
function takeResults(uploads: IUploads, model: ObjectListModel<IFile>): void {
  for (const task of [...uploads.tasks]) {
    if (task.state === 'done') {
      if (task.result) {
        model.put(task.result);
      }
      uploads.dismiss(task);
    }
  }
}
