import { ISignal, Signal } from '@lumino/signaling';

import { isEnded, jobObject } from '../api/jobs';
import { LogModel } from './logModel';
import { JobMetrics } from './metrics';
import { IJobsApi } from './api';
import { ICheckpoint, IJob, IJobEvent } from './types';

/** The most events that are held; a long training's metrics live in the curves. */
const MAX_EVENTS = 500;

/** The most pages of events that are read back when a job is opened. */
const MAX_PAGES = 20;

/**
 * Everything about one job, kept fresh by push.
 */
export class JobDetailModel {
  readonly #api: IJobsApi;

  constructor(
    readonly id: string,
    api: IJobsApi
  ) {
    this.#api = api;
    this.log = new LogModel((options, signal) => api.logs(id, options, signal));
    api.jobChanged.connect(this.#onJob, this);
    api.jobEvent.connect(this.#onEvent, this);
    api.reset.connect(this.#onReset, this);
  }

  readonly log: LogModel;
  readonly metrics = new JobMetrics();

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Null until it is loaded, and when it was deleted. */
  get job(): IJob | null {
    return this.#job;
  }

  /** What happened, newest first, without the metrics. */
  get events(): readonly IJobEvent[] {
    return this.#events;
  }

  /** Of a fine-tune, newest first. */
  get checkpoints(): readonly ICheckpoint[] {
    return this.#checkpoints;
  }

  /** Why the job cannot be shown, or null. */
  get error(): string | null {
    return this.#error;
  }

  /** Load everything; errors are kept in `error`. */
  async load(): Promise<void> {
    try {
      const before = this.#job;
      const job = await this.#api.retrieve(this.id);
      // What was pushed meanwhile is newer.
      this.#job = this.#job === before ? job : this.#job;
      this.#error = null;
      this.#emit();
      this.log.start();
      await Promise.all([this.#loadEvents(), this.#loadCheckpoints()]);
    } catch (error) {
      this.#error = error instanceof Error ? error.message : String(error);
    }
    this.#emit();
  }

  dispose(): void {
    this.#disposed = true;
    this.log.dispose();
    Signal.clearData(this);
  }

  async #loadEvents(): Promise<void> {
    let after: string | undefined;
    for (let page = 0; page < MAX_PAGES && !this.#disposed; page++) {
      const { data, has_more } = await this.#api.events(this.id, after);
      this.#take(data);
      this.#emit();
      after = data[data.length - 1]?.id;
      if (!has_more || after === undefined) {
        return;
      }
    }
  }

  async #loadCheckpoints(): Promise<void> {
    if (jobObject(this.id) === 'fine_tuning.job') {
      this.#checkpoints = await this.#api.checkpoints(this.id);
    }
  }

  #take(events: readonly IJobEvent[]): void {
    this.metrics.add(events);
    const known = new Set(this.#events.map(event => event.id));
    const fresh = events.filter(event => event.type !== 'metrics' && !known.has(event.id));
    if (fresh.length > 0) {
      // Ids are ordered by time.
      this.#events = [...this.#events, ...fresh]
        .sort((a, b) => (a.id < b.id ? 1 : -1))
        .slice(0, MAX_EVENTS);
    }
  }

  #onJob(_: IJobsApi, job: IJob): void {
    if (job.id !== this.id) {
      return;
    }
    const ended = isEnded(job.state) && !isEnded(this.#job?.state ?? '');
    this.#job = job;
    this.#emit();
    if (!isEnded(job.state)) {
      this.log.resume();
    }
    if (ended) {
      this.#refreshCheckpoints();
    }
  }

  #onEvent(_: IJobsApi, change: { readonly jobId: string; readonly event: IJobEvent }) {
    if (change.jobId === this.id) {
      this.#take([change.event]);
      this.#emit();
      if (change.event.type !== 'metrics') {
        this.#refreshCheckpoints();
      }
    }
  }

  #refreshCheckpoints(): void {
    this.#loadCheckpoints().then(
      () => this.#emit(),
      // The list that is shown stays; the next event asks again.
      () => undefined
    );
  }

  #onReset(): void {
    void this.load();
  }

  #emit(): void {
    if (!this.#disposed) {
      this.#changed.emit();
    }
  }

  #changed = new Signal<this, void>(this);
  #checkpoints: readonly ICheckpoint[] = [];
  #disposed = false;
  #error: string | null = null;
  #events: readonly IJobEvent[] = [];
  #job: IJob | null = null;
}
