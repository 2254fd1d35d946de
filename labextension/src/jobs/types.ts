import { IBatchJob, JobObject, JobState } from '../api';
import { IClonable } from './fineTuneForm';

/** How far a running fine-tune is. */
export interface IJobProgress {
  readonly step: number | null;
  readonly total_steps: number | null;
  readonly epoch: number | null;
  readonly loss: number | null;
  readonly eta_seconds: number | null;
}

/** What jobs of every kind have. Times are Unix seconds. */
interface IAnyJob {
  readonly id: string;
  readonly object: JobObject;
  readonly created_at: number;
  readonly finished_at: number | null;
  readonly status: string;
  readonly state: JobState;
  readonly state_reason: string | null;
  readonly queue_position: number | null;
  readonly cluster: string | null;
  readonly priority: number;
  readonly max_run_seconds: number | null;
  readonly error: { readonly message?: string | null } | null;
}

/** A fine-tuning job as the platform returns it. */
export interface IFineTune extends IAnyJob, Omit<IClonable, keyof IAnyJob> {
  readonly object: 'fine_tuning.job';
  readonly fine_tuned_model: string | null;
  readonly progress: IJobProgress | null;
  readonly trained_tokens: number | null;
}

/** A batch job as the platform returns it. */
export type { IBatchJob };

export type IJob = IFineTune | IBatchJob;

/** Something that happened to a job. */
export interface IJobEvent {
  readonly id: string;
  readonly object: string;
  readonly created_at: number;
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly type: 'message' | 'metrics' | string;
  readonly data: Readonly<Record<string, unknown>> | null;
}

/** What a fine-tune has saved on its way. */
export interface ICheckpoint {
  readonly object: string;
  readonly id: string;
  readonly created_at: number;
  readonly step_number: number;
  readonly fine_tuned_model_checkpoint: string;
  readonly metrics: Readonly<Record<string, number | null>>;
}
