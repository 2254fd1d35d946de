import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { addIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';

import { IPerijoveClient } from '../api';
import { IDetailRegistry, ISnippets, ObjectListModel, perijoveIcon } from '../core';
import { addObjectKind, IPerijovePanel } from '../sidebar';
import { JobsApi } from './api';
import { addJobCommands, notifyEnd } from './commands';
import * as ids from './ids';
import { runningJobs } from './running';
import { jobSnippets } from './snippets';
import { IJob } from './types';
import { JobEndWatcher } from './watcher';

/** Fine-tuning: the list of jobs, a job's tab, the create form, notifications. */
export const jobsPlugin: JupyterFrontEndPlugin<void> = {
  id: '@perijove/labextension:jobs',
  description: 'Fine-tuning jobs of the Perijove platform.',
  autoStart: true,
  requires: [IPerijoveClient, IPerijovePanel, IDetailRegistry, ISnippets],
  optional: [ITranslator, ICommandPalette, ILauncher, INotebookTracker, IRunningSessionManagers],
  activate: (
    app: JupyterFrontEnd,
    client: IPerijoveClient,
    panel: IPerijovePanel,
    details: IDetailRegistry,
    snippets: ISnippets,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    notebooks: INotebookTracker | null,
    managers: IRunningSessionManagers | null
  ): void => {
    const { commands } = app;
    const trans = (translator ?? nullTranslator).load('perijove');
    const model = new ObjectListModel<IJob>(client, {
      path: '/v1/fine_tuning/jobs',
      object: 'fine_tuning.job'
    });
    const api = lazily(() => new JobsApi(client));
    const open = (id: string) => void details.open(ids.JOB_KIND, id);

    addJobCommands({ commands, model, api, details, trans });
    const host = { commands, panel, details, snippets, palette, trans };
    addObjectKind(host, {
      model,
      followers: [ids.TRY_JOB, ids.CANCEL_JOB],
      palette: [ids.CREATE_JOB, ids.REFRESH_JOBS],
      snippets: jobSnippets,
      detail: {
        kind: ids.JOB_KIND,
        icon: perijoveIcon,
        label: () => trans.__('Fine-tuning job'),
        create: async id => {
          const { JobDetailWidget } = await import(/* webpackChunkName: "tabs" */ './detail');
          return new JobDetailWidget(id, { client, api: api(), commands, snippets, trans });
        }
      },
      section: {
        id: 'perijove-jobs',
        title: trans.__('Fine-tuning'),
        rank: 30,
        toolbar: [
          { command: ids.TRY_JOB, icon: runIcon, label: trans.__('Chat with the result') },
          { command: ids.CANCEL_JOB, icon: stopIcon, label: trans.__('Cancel the selected jobs') },
          { command: ids.REFRESH_JOBS, icon: refreshIcon, label: trans.__('Refresh the jobs') },
          { command: ids.CREATE_JOB, icon: addIcon, label: trans.__('Fine-tune a model') }
        ],
        create: async () => {
          const { createSection } = await import(/* webpackChunkName: "sections" */ './section');
          return createSection({ model, commands, trans }, snippets);
        }
      }
    });
    details.add({
      kind: ids.FORM_KIND,
      icon: perijoveIcon,
      label: () => trans.__('Fine-tune a model'),
      create: async id => {
        const { NewJobWidget } = await import(/* webpackChunkName: "tabs" */ './newJob');
        const onCreated = (job: IJob) => {
          model.put(job);
          details.close(ids.FORM_KIND, id);
          open(job.id);
        };
        const start = ids.formStart(id);
        return new NewJobWidget(start, { client, api: api(), notebooks, onCreated, trans });
      }
    });
    launcher?.add({ command: ids.CREATE_JOB, category: trans.__('Perijove'), rank: 3 });
    managers?.add(runningJobs(client, api, model, open, trans));

    const watcher = new JobEndWatcher(client, job => notifyEnd(job, () => open(job.id), trans));
    // Nothing is asked of the platform before Lab itself stands.
    void app.restored.then(() => client.status.whenReady()).then(() => watcher.start());
  }
};

function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
