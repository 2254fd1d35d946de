import { TranslationBundle } from '@jupyterlab/translation';

/** Where a job stands, as the platform says it. */
export type JobState =
  'queued' | 'admitted' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';

const ENDED: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled']);

/** Nothing more will happen to a job in this state. */
export function isEnded(state: string): boolean {
  return ENDED.has(state);
}

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
