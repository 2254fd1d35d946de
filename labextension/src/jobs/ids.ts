export { CREATE_JOB } from '../core/commandIds';
export const CREATE_BATCH_JOB = 'perijove:create-batch-job';
export const OPEN_JOB = 'perijove:open-job';
export const CANCEL_JOB = 'perijove:cancel-job';
export const PAUSE_JOB = 'perijove:pause-job';
export const RESUME_JOB = 'perijove:resume-job';
export const CLONE_JOB = 'perijove:clone-job';
export const TRY_JOB = 'perijove:try-job';
export const REFRESH_JOBS = 'perijove:refresh-jobs';

/** The kind of details and snippets of jobs, whatever they do. */
export const JOB_KIND = 'job';

/** The kind of tab that holds a create form; its id says what the form begins with. */
export const FORM_KIND = 'new-job';

/**
 * What a create form begins with: nothing, a training file, an empty batch job, or another job, which says of which
 * kind the new one is.
 */
export type FormStart =
  | { readonly from: 'nothing' | 'batch' }
  | { readonly from: 'file'; readonly id: string }
  | { readonly from: 'job'; readonly id: string };

/** The id of the tab of such a form; it survives a reload. */
export function formId(start: FormStart): string {
  return 'id' in start ? `${start.from}:${start.id}` : start.from;
}

/** What the form of a tab begins with. */
export function formStart(id: string): FormStart {
  const [, from, of] = /^(file|job):(.+)$/.exec(id) ?? [];
  return from === 'file' || from === 'job'
    ? { from, id: of }
    : { from: id === 'batch' ? 'batch' : 'nothing' };
}
