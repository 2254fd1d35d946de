import { IClonable } from './form';
import { JobState } from './states';

/** How far a running job is. */
export interface IJobProgress {
  readonly step: number | null;
  readonly total_steps: number | null;
  readonly epoch: number | null;
  readonly loss: number | null;
  readonly eta_seconds: number | null;
}

/** A fine-tuning job as the platform returns it. Times are Unix seconds. */
export interface IJob extends IClonable {
  readonly id: string;
  readonly object: 'fine_tuning.job';
  readonly created_at: number;
  readonly finished_at: number | null;
  readonly fine_tuned_model: string | null;
  readonly status: string;
  readonly state: JobState;
  readonly state_reason: string | null;
  readonly queue_position: number | null;
  readonly cluster: string | null;
  readonly progress: IJobProgress | null;
  readonly trained_tokens: number | null;
  readonly error: { readonly message?: string | null } | null;
}

/** Something that happened to a job. */
export interface IJobEvent {
  readonly id: string;
  readonly object: 'fine_tuning.job.event';
  readonly created_at: number;
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly type: 'message' | 'metrics' | string;
  readonly data: Readonly<Record<string, unknown>> | null;
}

/** What a job has saved on its way. */
export interface ICheckpoint {
  readonly object: string;
  readonly id: string;
  readonly created_at: number;
  readonly step_number: number;
  readonly fine_tuned_model_checkpoint: string;
  readonly metrics: Readonly<Record<string, number | null>>;
}
