import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, copyIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { argIds, attempt, IDetailRegistry, ObjectListModel, ROWS_SCHEMA } from '../core';
import { JobsApi } from './api';
import * as ids from './ids';
import { isEnded } from './states';
import { IJob } from './types';

interface IContext {
  readonly commands: CommandRegistry;
  readonly model: ObjectListModel<IJob>;
  readonly api: () => JobsApi;
  readonly details: IDetailRegistry;
  readonly trans: TranslationBundle;
}

/** The commands of fine-tuning jobs. With `ids` they act on those jobs, else on the selected ones. */
export function addJobCommands(context: IContext): void {
  addOpening(context);
  addActing(context);
}

function addOpening({ commands, model, details, trans }: IContext): void {
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
      const start: ids.FormStart =
        typeof file === 'string' ? { from: 'file', id: file } : { from: 'nothing' };
      return details.open(ids.FORM_KIND, ids.formId(start));
    }
  });
  commands.addCommand(ids.OPEN_JOB, {
    label: trans.__('Open'),
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length > 0,
    execute: async args => {
      for (const id of targets(args, model)) {
        await details.open(ids.JOB_KIND, id);
      }
    }
  });
  commands.addCommand(ids.CLONE_JOB, {
    label: trans.__('Clone…'),
    caption: trans.__('Create a job with the same settings'),
    icon: copyIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => targets(args, model).length === 1,
    execute: args =>
      details.open(ids.FORM_KIND, ids.formId({ from: 'job', id: targets(args, model)[0] }))
  });
  commands.addCommand(ids.TRY_JOB, {
    label: trans.__('Try it'),
    caption: trans.__('Chat with the model that the job has made'),
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => resultOf(args, model) !== null,
    execute: args => commands.execute('perijove:chat', { model: resultOf(args, model) })
  });
  commands.addCommand(ids.REFRESH_JOBS, {
    label: trans.__('Refresh the jobs'),
    icon: refreshIcon,
    describedBy: { args: { type: 'object', properties: {} } },
    execute: () => model.reload()
  });
}

function addActing({ commands, model, api, trans }: IContext): void {
  const act = async (
    args: ReadonlyPartialJSONObject,
    action: 'cancel' | 'pause' | 'resume',
    failure: string
  ) => {
    for (const id of targets(args, model)) {
      await attempt(failure, async () => model.put(await api().act(id, action)), trans);
    }
  };
  commands.addCommand(ids.CANCEL_JOB, {
    label: args =>
      targets(args, model).length > 1 ? trans.__('Cancel jobs…') : trans.__('Cancel job…'),
    icon: stopIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => all(args, model, job => !isEnded(job.state)),
    execute: async args => {
      const names = targets(args, model).map(id => nameOf(model.find(id), id));
      if (await confirmCancel(names, trans)) {
        await act(args, 'cancel', trans.__('The job was not cancelled.'));
      }
    }
  });
  commands.addCommand(ids.PAUSE_JOB, {
    label: trans.__('Pause'),
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => all(args, model, job => job.state === 'running'),
    execute: args => act(args, 'pause', trans.__('The job was not paused.'))
  });
  commands.addCommand(ids.RESUME_JOB, {
    label: trans.__('Resume'),
    icon: runIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => all(args, model, job => job.state === 'paused'),
    execute: args => act(args, 'resume', trans.__('The job was not resumed.'))
  });
}

/** What a job is called in lists and questions: what it was named, else what it trains. */
export function nameOf(job: IJob | undefined, id = ''): string {
  const suffix = job?.suffix ?? job?.user_provided_suffix;
  return job && suffix ? `${suffix} (${job.model})` : (job?.model ?? id);
}

/** Say that a job has ended, with the way to it. */
export function notifyEnd(job: IJob, open: () => void, trans: TranslationBundle): void {
  const options = { actions: [{ label: trans.__('Show'), callback: open }], autoClose: 10_000 };
  const name = job.fine_tuned_model ?? nameOf(job);
  if (job.state === 'succeeded') {
    Notification.success(trans.__('Fine-tuning succeeded: %1', name), options);
  } else if (job.state === 'failed') {
    const reason = job.error?.message ?? job.state_reason ?? '';
    const text = trans.__('Fine-tuning failed: %1. %2', name, reason);
    Notification.error(text.length > 140 ? `${text.slice(0, 139)}…` : text, options);
  }
}

async function confirmCancel(names: readonly string[], trans: TranslationBundle): Promise<boolean> {
  const result = await showDialog({
    title: trans._n('Cancel this job?', 'Cancel %1 jobs?', names.length, names.length),
    body: `${names.join('\n')}\n\n${trans.__('The training stops and cannot be taken up again.')}`,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Let it run') }),
      Dialog.warnButton({ label: trans.__('Cancel job') })
    ],
    defaultButton: 0
  });
  return result.button.accept;
}

function targets(args: ReadonlyPartialJSONObject, model: ObjectListModel<IJob>): readonly string[] {
  return argIds(args) ?? model.selected.map(job => job.id);
}

/** Whether there are jobs and all that are in the list pass; of others the platform says whether it can be. */
function all(
  args: ReadonlyPartialJSONObject,
  model: ObjectListModel<IJob>,
  test: (job: IJob) => boolean
): boolean {
  const chosen = targets(args, model);
  return (
    chosen.length > 0 &&
    chosen.every(id => {
      const job = model.find(id);
      return job === undefined || test(job);
    })
  );
}

function resultOf(args: ReadonlyPartialJSONObject, model: ObjectListModel<IJob>): string | null {
  const chosen = targets(args, model);
  return chosen.length === 1 ? (model.find(chosen[0])?.fine_tuned_model ?? null) : null;
}
