import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, copyIcon, runIcon, stopIcon, terminalIcon } from '@jupyterlab/ui-components';

import { isEnded } from '../api';
import { CHAT, IRowsContext, NO_ARGUMENTS, RowCommands } from '../core';
import { JobsApi } from './api';
import * as ids from './ids';
import { nameOf } from './names';
import { IJob } from './types';

interface IContext extends IRowsContext<IJob> {
  readonly api: () => JobsApi;
}

/** The commands of jobs of all kinds. With `ids` they act on those jobs, else on the selected ones. */
export function addJobCommands(context: IContext): void {
  const rows = new RowCommands(ids.JOB_KIND, context);
  addCreating(context);
  rows.addRefresh(ids.REFRESH_JOBS, context.trans.__('Refresh the jobs'));
  rows.addOpen(ids.OPEN_JOB, context.trans.__('Open'));
  addUsing(context, rows);
  addActing(context, rows);
}

function addCreating({ commands, details, trans }: IContext): void {
  const open = (start: ids.FormStart): Promise<void> =>
    details.open(ids.FORM_KIND, ids.formId(start));
  commands.addCommand(ids.CREATE_JOB, {
    label: trans.__('Fine-tune a model…'),
    caption: trans.__('Create a fine-tuning job'),
    icon: addIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          training_file: { type: 'string', description: 'Id of the file to train with' }
        }
      }
    },
    execute: args => {
      const file = args.training_file;
      return open(typeof file === 'string' ? { from: 'file', id: file } : { from: 'nothing' });
    }
  });
  commands.addCommand(ids.CREATE_BATCH_JOB, {
    label: trans.__('New batch job…'),
    caption: trans.__('Run a command on this machine or on a cluster'),
    icon: terminalIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => open({ from: 'batch' })
  });
}

function addUsing({ commands, details, model, trans }: IContext, rows: RowCommands<IJob>): void {
  rows.add(ids.CLONE_JOB, {
    label: trans.__('Clone…'),
    caption: trans.__('Create a job with the same settings'),
    icon: copyIcon,
    single: true,
    execute: ([id]) => details.open(ids.FORM_KIND, ids.formId({ from: 'job', id }))
  });
  rows.add(ids.TRY_JOB, {
    label: trans.__('Try it'),
    caption: trans.__('Chat with the model that the job has made'),
    icon: runIcon,
    single: true,
    fits: job => resultOf(job) !== null,
    execute: ([id]) => commands.execute(CHAT, { model: resultOf(model.find(id)) })
  });
}

function addActing(context: IContext, rows: RowCommands<IJob>): void {
  const { api, model, trans } = context;
  const failure = trans.__('The job was not cancelled.');
  // Whether a job that is not in the list can be, the platform says.
  rows.add(ids.CANCEL_JOB, {
    label: count => (count > 1 ? trans.__('Cancel jobs…') : trans.__('Cancel job…')),
    icon: stopIcon,
    fits: job => job === undefined || !isEnded(job.state),
    execute: async chosen => {
      const names = chosen.map(id => nameOf(model.find(id), id));
      if (await confirmCancel(names, trans)) {
        await rows.each(chosen, failure, id => api().act(id, 'cancel'));
      }
    }
  });
  rows.addEach(
    ids.PAUSE_JOB,
    { label: trans.__('Pause'), fits: job => (job?.state ?? 'running') === 'running' },
    trans.__('The job was not paused.'),
    id => api().act(id, 'pause')
  );
  rows.addEach(
    ids.RESUME_JOB,
    {
      label: trans.__('Resume'),
      icon: runIcon,
      fits: job => (job?.state ?? 'paused') === 'paused'
    },
    trans.__('The job was not resumed.'),
    id => api().act(id, 'resume')
  );
}

/** Say that a job has ended, with the way to it. */
export function notifyEnd(job: IJob, open: () => void, trans: TranslationBundle): void {
  const options = { actions: [{ label: trans.__('Show'), callback: open }], autoClose: 10_000 };
  const batch = job.object === 'batch_job';
  const name = resultOf(job) ?? nameOf(job);
  if (job.state === 'succeeded') {
    const text = batch
      ? trans.__('Batch job succeeded: %1', name)
      : trans.__('Fine-tuning succeeded: %1', name);
    Notification.success(text, options);
  } else if (job.state === 'failed') {
    const reason = job.error?.message ?? job.state_reason ?? '';
    const text = batch
      ? trans.__('Batch job failed: %1. %2', name, reason)
      : trans.__('Fine-tuning failed: %1. %2', name, reason);
    Notification.error(text.length > 140 ? `${text.slice(0, 139)}…` : text, options);
  }
}

async function confirmCancel(names: readonly string[], trans: TranslationBundle): Promise<boolean> {
  const result = await showDialog({
    title: trans._n('Cancel this job?', 'Cancel %1 jobs?', names.length, names.length),
    body: `${names.join('\n')}\n\n${trans.__('What it does stops and cannot be taken up again.')}`,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Let it run') }),
      Dialog.warnButton({ label: trans.__('Cancel job') })
    ],
    defaultButton: 0
  });
  return result.button.accept;
}

/** The model that a fine-tune has made. */
function resultOf(job: IJob | undefined): string | null {
  return job?.object === 'fine_tuning.job' ? job.fine_tuned_model : null;
}
