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
  constructor(
    readonly id: string,
    private readonly _api: IJobsApi
  ) {
    this.log = new LogModel((options, signal) => _api.logs(id, options, signal));
    _api.jobChanged.connect(this._onJob, this);
    _api.jobEvent.connect(this._onEvent, this);
    _api.reset.connect(this._onReset, this);
  }

  readonly log: LogModel;
  readonly metrics = new JobMetrics();

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Null until it is loaded, and when it was deleted. */
  get job(): IJob | null {
    return this._job;
  }

  /** What happened, newest first, without the metrics. */
  get events(): readonly IJobEvent[] {
    return this._events;
  }

  /** Of a fine-tune, newest first. */
  get checkpoints(): readonly ICheckpoint[] {
    return this._checkpoints;
  }

  /** Why the job cannot be shown, or null. */
  get error(): string | null {
    return this._error;
  }

  /** Load everything; errors are kept in `error`. */
  async load(): Promise<void> {
    try {
      const before = this._job;
      const job = await this._api.retrieve(this.id);
      // What was pushed meanwhile is newer.
      this._job = this._job === before ? job : this._job;
      this._error = null;
      this._emit();
      this.log.start();
      await Promise.all([this._loadEvents(), this._loadCheckpoints()]);
    } catch (error) {
      this._error = error instanceof Error ? error.message : String(error);
    }
    this._emit();
  }

  dispose(): void {
    this._disposed = true;
    this.log.dispose();
    Signal.clearData(this);
  }

  private async _loadEvents(): Promise<void> {
    let after: string | undefined;
    for (let page = 0; page < MAX_PAGES && !this._disposed; page++) {
      const { data, has_more } = await this._api.events(this.id, after);
      this._take(data);
      this._emit();
      after = data[data.length - 1]?.id;
      if (!has_more || after === undefined) {
        return;
      }
    }
  }

  private async _loadCheckpoints(): Promise<void> {
    if (jobObject(this.id) === 'fine_tuning.job') {
      this._checkpoints = await this._api.checkpoints(this.id);
    }
  }

  private _take(events: readonly IJobEvent[]): void {
    this.metrics.add(events);
    const known = new Set(this._events.map(event => event.id));
    const fresh = events.filter(event => event.type !== 'metrics' && !known.has(event.id));
    if (fresh.length > 0) {
      // Ids are ordered by time.
      this._events = [...this._events, ...fresh]
        .sort((a, b) => (a.id < b.id ? 1 : -1))
        .slice(0, MAX_EVENTS);
    }
  }

  private _onJob(_: IJobsApi, job: IJob): void {
    if (job.id !== this.id) {
      return;
    }
    const ended = isEnded(job.state) && !isEnded(this._job?.state ?? '');
    this._job = job;
    this._emit();
    if (!isEnded(job.state)) {
      this.log.resume();
    }
    if (ended) {
      this._refreshCheckpoints();
    }
  }

  private _onEvent(_: IJobsApi, change: { readonly jobId: string; readonly event: IJobEvent }) {
    if (change.jobId === this.id) {
      this._take([change.event]);
      this._emit();
      if (change.event.type !== 'metrics') {
        this._refreshCheckpoints();
      }
    }
  }

  private _refreshCheckpoints(): void {
    this._loadCheckpoints().then(
      () => this._emit(),
      // The list that is shown stays; the next event asks again.
      () => undefined
    );
  }

  private _onReset(): void {
    void this.load();
  }

  private _emit(): void {
    if (!this._disposed) {
      this._changed.emit();
    }
  }

  private _changed = new Signal<this, void>(this);
  private _checkpoints: readonly ICheckpoint[] = [];
  private _disposed = false;
  private _error: string | null = null;
  private _events: readonly IJobEvent[] = [];
  private _job: IJob | null = null;
}
