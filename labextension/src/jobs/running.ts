import type { IRunningSessions } from '@jupyterlab/running';
import { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import { IPerijoveClient, isEnded } from '../api';
import { attempt, ObjectListModel, perijoveIcon } from '../core';
import { JobsApi } from './api';
import { nameOf } from './names';
import { stateLabel } from './states';
import { IJob } from './types';

/** Jobs of all kinds among Lab's running things. */
export function runningJobs(
  client: IPerijoveClient,
  api: () => JobsApi,
  model: ObjectListModel<IJob>,
  open: (id: string) => void,
  trans: TranslationBundle
): IRunningSessions.IManager {
  const unended = () => model.items.filter(job => !isEnded(job.state));
  const cancel = (job: IJob) =>
    attempt(
      trans.__('The job was not cancelled.'),
      async () => model.put(await api().act(job.id, 'cancel')),
      trans
    );
  const runningChanged = new Signal<unknown, void>(model);
  model.changed.connect(() => runningChanged.emit(), runningChanged);
  return {
    name: trans.__('Jobs'),
    running: () =>
      unended().map(job => ({
        icon: () => perijoveIcon,
        label: () => nameOf(job, job.id),
        labelTitle: () => `${nameOf(job)}\n${job.id}`,
        detail: () => stateLabel(job.state, trans),
        open: () => open(job.id),
        shutdown: () => void cancel(job)
      })),
    runningChanged,
    refreshRunning: () => {
      if (client.status.current?.state === 'ready') {
        void model.load();
      }
    },
    shutdownAll: () => unended().forEach(job => void cancel(job)),
    shutdownLabel: trans.__('Cancel job'),
    shutdownAllLabel: trans.__('Cancel all'),
    shutdownAllConfirmationText: trans.__('Cancel all jobs? They cannot be taken up again.')
  };
}
