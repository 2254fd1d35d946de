import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { formatDuration } from '../core/format';
import { STATE_SIGNS, stateLabel } from './states';
import { IJob } from './types';

/** The state by colour, sign and word. */
export function StateBadge(props: { state: IJob['state']; trans: TranslationBundle }): JSX.Element {
  const { state, trans } = props;
  return (
    <span className={`jp-PerijoveJob-state jp-mod-${state}`}>
      <span aria-hidden="true">{STATE_SIGNS[state] ?? '•'}</span> {stateLabel(state, trans)}
    </span>
  );
}

/** How far a running job is, as a bar with words. */
export function JobProgress(props: { job: IJob; trans: TranslationBundle }): JSX.Element | null {
  const { job, trans } = props;
  const { step, total_steps: total, eta_seconds: eta } = job.progress ?? {};
  if (step === null || step === undefined || !total) {
    return null;
  }
  const words = [trans.__('Step %1 of %2', step, total)];
  if (job.state === 'running' && eta !== null && eta !== undefined) {
    words.push(trans.__('about %1 left', formatDuration(eta, trans)));
  }
  return (
    <div className="jp-PerijoveJob-progress">
      <progress
        className={`jp-mod-${job.state}`}
        value={step}
        max={total}
        aria-label={trans.__('Training progress')}
      />
      <span>{words.join(' · ')}</span>
    </div>
  );
}
