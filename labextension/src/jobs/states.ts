import { TranslationBundle } from '@jupyterlab/translation';

import { JobState } from '../api';
import { IJob } from './types';

/** A sign for each state, so that colour is not the only difference. */
export const STATE_SIGNS: Readonly<Record<JobState, string>> = {
  queued: '○',
  admitted: '◐',
  running: '▶',
  paused: '‖',
  succeeded: '✓',
  failed: '✕',
  cancelled: '⊘'
};

/** The state in the person's language. */
export function stateLabel(state: string, trans: TranslationBundle): string {
  switch (state as JobState) {
    case 'queued':
      return trans.__('Queued');
    case 'admitted':
      return trans.__('Starting');
    case 'running':
      return trans.__('Running');
    case 'paused':
      return trans.__('Paused');
    case 'succeeded':
      return trans.__('Succeeded');
    case 'failed':
      return trans.__('Failed');
    case 'cancelled':
      return trans.__('Cancelled');
    default:
      return state;
  }
}

/** A place in a queue: `1st`, `22nd`. */
export function ordinal(place: number, trans: TranslationBundle): string {
  switch (new Intl.PluralRules('en', { type: 'ordinal' }).select(place)) {
    case 'one':
      return trans.__('%1st', place);
    case 'two':
      return trans.__('%1nd', place);
    case 'few':
      return trans.__('%1rd', place);
    default:
      return trans.__('%1th', place);
  }
}

/** Why a job waits, or why it ended as it did; empty when there is nothing to say. */
export function reasonOf(
  job: Pick<IJob, 'state' | 'state_reason' | 'queue_position' | 'error'>,
  trans: TranslationBundle
): string {
  // A reason that only repeats the state says nothing.
  const given = job.state_reason === job.state ? '' : job.state_reason;
  const reason = given || job.error?.message || '';
  if (job.state === 'queued' && job.queue_position !== null) {
    const place = ordinal(job.queue_position, trans);
    return reason === ''
      ? trans.__('%1 in the queue', place)
      : trans.__('%1 in the queue: %2', place, reason);
  }
  return reason;
}
