import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { addIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';

import { IPerijoveClient } from '../api';
import {
  clientSnippet,
  curlSnippet,
  IDetailRegistry,
  ISnippets,
  ObjectListModel,
  perijoveIcon
} from '../core';
import { IPerijovePanel } from '../sidebar';
import { JobsApi } from './api';
import { addJobCommands, notifyEnd } from './commands';
import * as ids from './ids';
import { runningJobs } from './running';
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
    addSnippets(snippets);
    details.add({
      kind: ids.JOB_KIND,
      icon: perijoveIcon,
      label: () => trans.__('Fine-tuning job'),
      create: async id => {
        const { JobDetailWidget } = await import(/* webpackChunkName: "tabs" */ './detail');
        return new JobDetailWidget(id, { client, api: api(), commands, snippets, trans });
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
        return new NewJobWidget(ids.formStart(id), {
          client,
          api: api(),
          notebooks,
          onCreated,
          trans
        });
      }
    });
    addSection(panel, trans, async () => {
      const { createSection } = await import(/* webpackChunkName: "sections" */ './section');
      return createSection({ model, commands, snippets, trans });
    });
    for (const command of [ids.CREATE_JOB, ids.REFRESH_JOBS]) {
      palette?.addItem({ command, category: trans.__('Perijove') });
    }
    launcher?.add({ command: ids.CREATE_JOB, category: trans.__('Perijove'), rank: 3 });
    notifySelection(commands, model);
    managers?.add(runningJobs(client, api, model, open, trans));

    const watcher = new JobEndWatcher(client, job => notifyEnd(job, () => open(job.id), trans));
    // Nothing is asked of the platform before Lab itself stands.
    void app.restored.then(() => client.status.whenReady()).then(() => watcher.start());
  }
};

/** Buttons look at their commands again when the selection or the list has changed. */
function notifySelection(
  commands: JupyterFrontEnd['commands'],
  model: ObjectListModel<IJob>
): void {
  const notify = () => {
    commands.notifyCommandChanged(ids.TRY_JOB);
    commands.notifyCommandChanged(ids.CANCEL_JOB);
  };
  model.changed.connect(notify, model);
  model.selection.changed.connect(notify, model);
}

function addSection(
  panel: IPerijovePanel,
  trans: TranslationBundle,
  create: Parameters<IPerijovePanel['addSection']>[0]['create']
): void {
  panel.addSection({
    id: 'perijove-jobs',
    title: trans.__('Fine-tuning'),
    rank: 30,
    toolbar: [
      { command: ids.TRY_JOB, icon: runIcon, label: trans.__('Chat with the result') },
      { command: ids.CANCEL_JOB, icon: stopIcon, label: trans.__('Cancel the selected jobs') },
      { command: ids.CREATE_JOB, icon: addIcon, label: trans.__('Fine-tune a model') },
      { command: ids.REFRESH_JOBS, icon: refreshIcon, label: trans.__('Refresh the jobs') }
    ],
    create
  });
}

function addSnippets(snippets: ISnippets): void {
  snippets.add(ids.JOB_KIND, {
    client: id =>
      clientSnippet(
        `job = client.fine_tuning.jobs.retrieve(${JSON.stringify(id)})`,
        'print(job.status, job.fine_tuned_model)'
      ),
    magic: () => '%load_ext perijove\n%perijove jobs',
    curl: id => curlSnippet(`/v1/fine_tuning/jobs/${id}`)
  });
}

function lazily<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
