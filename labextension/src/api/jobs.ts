/** The kinds of jobs, by what they are on the wire and in events, and where each is listed. */
const PATHS = {
  'fine_tuning.job': '/v1/fine_tuning/jobs',
  batch_job: '/v1/batch_jobs'
} as const;

/** What kind of job it is. */
export type JobObject = keyof typeof PATHS;

export const JOB_OBJECTS = Object.keys(PATHS) as readonly JobObject[];

/** Where the jobs of a kind are listed and made. */
export function jobsPath(object: JobObject): string {
  return PATHS[object];
}

/** The kind of the job that has this id. */
export function jobObject(id: string): JobObject {
  return id.startsWith('batchjob-') ? 'batch_job' : 'fine_tuning.job';
}

/** The route of a job. */
export function jobPath(id: string): string {
  return `${jobsPath(jobObject(id))}/${encodeURIComponent(id)}`;
}

const ENDED: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled']);

/** Nothing more will happen to a job in this state. */
export function isEnded(state: string): boolean {
  return ENDED.has(state);
}
