import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { formatDuration } from '../core/format';
import { STATE_SIGNS, stateLabel } from './states';
import { IBatchJob, IFineTune, IJob } from './types';

/** The state by colour, sign and word. */
export function StateBadge(props: { state: IJob['state']; trans: TranslationBundle }): JSX.Element {
  const { state, trans } = props;
  return (
    <span className={`jp-PerijoveJob-state jp-mod-${state}`}>
      <span aria-hidden="true">{STATE_SIGNS[state] ?? '•'}</span> {stateLabel(state, trans)}
    </span>
  );
}

/** How far a job is, as a bar with words; nothing where that is not known. */
export function JobProgress(props: { job: IJob; trans: TranslationBundle }): JSX.Element | null {
  const { job, trans } = props;
  const { done, total, words } = job.object === 'batch_job' ? runs(job, trans) : steps(job, trans);
  if (done === null || !total) {
    return null;
  }
  return (
    <div className="jp-PerijoveJob-progress">
      <progress
        className={`jp-mod-${job.state}`}
        value={done}
        max={total}
        aria-label={trans.__('Progress')}
      />
      <span>{words.join(' · ')}</span>
    </div>
  );
}

/** How far a job is, in short: `40 %`, `3 of 10`; empty where the state says it all. */
export function shortProgress(job: IJob, trans: TranslationBundle): string {
  if (job.object === 'batch_job') {
    return job.completions > 1 ? trans.__('%1 of %2', job.completed, job.completions) : '';
  }
  const { step, total_steps: total } = job.progress ?? {};
  return job.state === 'running' && typeof step === 'number' && total
    ? `${Math.floor((100 * step) / total)} %`
    : '';
}

interface IProgress {
  readonly done: number | null;
  readonly total: number | null;
  readonly words: readonly string[];
}

function runs(job: IBatchJob, trans: TranslationBundle): IProgress {
  const { completed: done, completions: total } = job;
  // Of one run the state says it all.
  const words = [trans.__('%1 of %2 completed', done, total)];
  return { done: total > 1 ? done : null, total, words };
}

function steps(job: IFineTune, trans: TranslationBundle): IProgress {
  const { step = null, total_steps: total = null, eta_seconds: eta = null } = job.progress ?? {};
  const words = [trans.__('Step %1 of %2', step, total)];
  if (job.state === 'running' && eta !== null) {
    words.push(trans.__('about %1 left', formatDuration(eta, trans)));
  }
  return { done: step, total, words };
}
