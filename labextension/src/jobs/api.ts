import { ISignal, Signal } from '@lumino/signaling';

import { JOB_OBJECTS, JobObject, jobPath, jobsPath } from '../api/jobs';
import { IEventStream, IPerijoveClient } from '../api/tokens';
import { IPage, IPlatformEvent } from '../api/types';
import { ICheckpoint, IJob, IJobEvent } from './types';

/** The platform's largest page of events, so that a long run's curves load in a few requests. */
const EVENTS_PAGE = 1000;

/** An event of a job, and whose it is. */
export interface IJobEventChange {
  readonly jobId: string;
  readonly event: IJobEvent;
}

/** What can be asked of the platform about jobs of all kinds, and what it tells by itself. */
export interface IJobsApi {
  /** A job was created or changed. */
  readonly jobChanged: ISignal<IJobsApi, IJob>;
  readonly jobEvent: ISignal<IJobsApi, IJobEventChange>;
  /** Pushes were missed: whoever shows something reads it again. */
  readonly reset: ISignal<IJobsApi, void>;
  retrieve(id: string): Promise<IJob>;
  /**
   * @param request - what the route of the kind takes
   * @param key - the same for every attempt to create the same job
   */
  create(object: JobObject, request: unknown, key: string): Promise<IJob>;
  act(id: string, action: 'cancel' | 'pause' | 'resume'): Promise<IJob>;
  /** A page of events, newest first. */
  events(id: string, after?: string): Promise<IPage<IJobEvent>>;
  /** Of a fine-tune. */
  checkpoints(id: string): Promise<ICheckpoint[]>;
  /** The log's text in pieces. */
  logs(
    id: string,
    options: { readonly tail: number; readonly follow: boolean },
    signal: AbortSignal
  ): AsyncGenerator<string, void, void>;
  /** Where the browser downloads the whole log from. */
  logUrl(id: string): string;
}

/** An event of a job as it is pushed. */
interface IPushedEvent extends IJobEvent {
  readonly job_id?: string;
}

/** The jobs of the platform behind a client. */
export class JobsApi implements IJobsApi {
  readonly #client: IPerijoveClient;

  constructor(client: IPerijoveClient) {
    this.#client = client;
    const { events } = client;
    for (const object of JOB_OBJECTS) {
      events.changes<IJob>(object).connect(this.#onJob, this);
      events.changes<IPushedEvent>(`${object}.event`).connect(this.#onEvent, this);
    }
    events.reset.connect(this.#onReset, this);
  }

  get jobChanged(): ISignal<this, IJob> {
    return this.#jobChanged;
  }

  get jobEvent(): ISignal<this, IJobEventChange> {
    return this.#jobEvent;
  }

  get reset(): ISignal<this, void> {
    return this.#reset;
  }

  retrieve(id: string): Promise<IJob> {
    return this.#client.request<IJob>(jobPath(id));
  }

  create(object: JobObject, request: unknown, key: string): Promise<IJob> {
    return this.#client.request<IJob>(jobsPath(object), {
      json: request,
      headers: { 'Idempotency-Key': key }
    });
  }

  act(id: string, action: 'cancel' | 'pause' | 'resume'): Promise<IJob> {
    return this.#client.request<IJob>(`${jobPath(id)}/${action}`, { method: 'POST' });
  }

  events(id: string, after?: string): Promise<IPage<IJobEvent>> {
    return this.#client.list<IJobEvent>(`${jobPath(id)}/events`, { limit: EVENTS_PAGE, after });
  }

  async checkpoints(id: string): Promise<ICheckpoint[]> {
    const page = await this.#client.list<ICheckpoint>(`${jobPath(id)}/checkpoints`, { limit: 100 });
    return [...page.data];
  }

  async *logs(
    id: string,
    options: { readonly tail: number; readonly follow: boolean },
    signal: AbortSignal
  ): AsyncGenerator<string, void, void> {
    const query = { tail_bytes: options.tail, follow: options.follow };
    const { body } = await this.#client.raw(`${jobPath(id)}/logs`, { query, signal });
    const reader = body?.getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
        if (done) {
          return;
        }
        yield decoder.decode(value, { stream: true });
      }
    } finally {
      await reader?.cancel().catch(() => undefined);
    }
  }

  logUrl(id: string): string {
    return this.#client.url(`${jobPath(id)}/logs`);
  }

  #onJob(_: IEventStream, event: IPlatformEvent<IJob>): void {
    if (!event.type.endsWith('.deleted')) {
      this.#jobChanged.emit(event.data);
    }
  }

  #onEvent(_: IEventStream, event: IPlatformEvent<IPushedEvent>): void {
    const jobId = event.data.job_id ?? event.object_id;
    this.#jobEvent.emit({ jobId, event: event.data });
  }

  #onReset(): void {
    this.#reset.emit();
  }

  readonly #jobChanged = new Signal<this, IJob>(this);
  readonly #jobEvent = new Signal<this, IJobEventChange>(this);
  readonly #reset = new Signal<this, void>(this);
}
