import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { addIcon, refreshIcon, runIcon, stopIcon, terminalIcon } from '@jupyterlab/ui-components';

import { JOB_OBJECTS, jobsPath } from '../api';
import { ObjectListModel, perijoveIcon } from '../core';
import { addObjectKind, objectPlugin } from '../sidebar';
import { JobsApi } from './api';
import { addJobCommands, notifyEnd } from './commands';
import * as ids from './ids';
import { runningJobs } from './running';
import { jobSnippets } from './snippets';
import { IJob } from './types';
import { JobEndWatcher } from './watcher';

/** Jobs of all kinds: the list, a job's tab, the create forms, notifications. */
export const jobsPlugin = objectPlugin<[ILauncher, INotebookTracker, IRunningSessionManagers]>({
  name: 'jobs',
  description: 'Fine-tuning and batch jobs of the Perijove platform.',
  optional: [ILauncher, INotebookTracker, IRunningSessionManagers],
  activate: (host, launcher, notebooks, managers): void => {
    const { app, commands, client, details, preferences, snippets, trans } = host;
    const sources = JOB_OBJECTS.map(object => ({ path: jobsPath(object), object }));
    const model = new ObjectListModel<IJob>(client, ...sources);
    const api = lazily(() => new JobsApi(client));
    const open = (id: string) => void details.open(ids.JOB_KIND, id);

    addJobCommands({ commands, model, api, details, preferences, trans });
    addObjectKind(host, {
      model,
      followers: [ids.TRY_JOB, ids.CANCEL_JOB],
      palette: [ids.CREATE_JOB, ids.CREATE_BATCH_JOB, ids.REFRESH_JOBS],
      snippets: jobSnippets,
      detail: {
        kind: ids.JOB_KIND,
        icon: perijoveIcon,
        label: () => trans.__('Job'),
        create: async id => {
          const { JobDetailWidget } = await import(/* webpackChunkName: "tabs" */ './detail');
          return new JobDetailWidget(id, { client, api: api(), commands, snippets, trans });
        }
      },
      section: {
        id: 'perijove-jobs',
        title: trans.__('Jobs'),
        rank: 30,
        toolbar: [
          { command: ids.TRY_JOB, icon: runIcon, label: trans.__('Chat with the result') },
          { command: ids.CANCEL_JOB, icon: stopIcon, label: trans.__('Cancel the selected jobs') },
          { command: ids.REFRESH_JOBS, icon: refreshIcon, label: trans.__('Refresh the jobs') },
          { command: ids.CREATE_BATCH_JOB, icon: terminalIcon, label: trans.__('New batch job') },
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
      label: () => trans.__('New job'),
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
    launcher?.add({ command: ids.CREATE_BATCH_JOB, category: trans.__('Perijove'), rank: 4 });
    managers?.add(runningJobs(client, api, model, open, trans));

    const watcher = new JobEndWatcher(client, job => notifyEnd(job, () => open(job.id), trans));
    // Nothing is asked of the platform before Lab itself stands.
    void app.restored.then(() => client.status.whenReady()).then(() => watcher.start());
  }
});

function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
