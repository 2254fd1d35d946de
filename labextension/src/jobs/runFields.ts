import { TranslationBundle } from '@jupyterlab/translation';

import { durationText, parseDuration } from './duration';

/** What the forms of all kinds of jobs ask: where, how urgent, and for how long at most. */
export interface IRunForm {
  /** Empty for the platform's own machine. */
  readonly cluster: string;
  readonly priority: string;
  readonly maxRunTime: string;
}

/** The same in a request. */
interface IRunRequest {
  readonly cluster?: string;
  readonly priority?: number;
  readonly max_run_seconds?: number;
}

export const EMPTY_RUN: IRunForm = { cluster: '', priority: '0', maxRunTime: '' };

/** What is wrong with the longest run time, or null. */
export function errorOfRunTime(form: IRunForm, trans: TranslationBundle): string | null {
  return form.maxRunTime.trim() === '' || parseDuration(form.maxRunTime) >= 1
    ? null
    : trans.__('Write a time with its unit, such as "90 min" or "1 h 30 min", or nothing.');
}

export function runFields(form: IRunForm): IRunRequest {
  return {
    ...(form.cluster !== '' && { cluster: form.cluster }),
    ...(form.priority !== '0' && { priority: Number(form.priority) }),
    ...(form.maxRunTime.trim() !== '' && { max_run_seconds: parseDuration(form.maxRunTime) })
  };
}

/** The fields that would make a job run as this one. */
export function runForm(job: {
  readonly cluster?: string | null;
  readonly priority?: number;
  readonly max_run_seconds?: number | null;
}): IRunForm {
  return {
    // Where nothing is named, the platform's own machine runs it.
    cluster: job.cluster === 'local' ? '' : (job.cluster ?? ''),
    priority: String(job.priority ?? 0),
    maxRunTime: job.max_run_seconds ? durationText(job.max_run_seconds) : ''
  };
}

/** Priorities in words, the highest first. */
export function priorities(
  trans: TranslationBundle
): readonly { readonly id: string; readonly label: string }[] {
  return [
    { id: '2', label: trans.__('Highest') },
    { id: '1', label: trans.__('High') },
    { id: '0', label: trans.__('Normal') },
    { id: '-1', label: trans.__('Low') },
    { id: '-2', label: trans.__('Lowest') }
  ];
}
