import { ISignal, Signal } from '@lumino/signaling';

import {
  IEventStream,
  IJobSummary,
  IPerijoveClient,
  IPlatformEvent,
  isEnded,
  JOB_OBJECTS,
  JobObject,
  jobsPath
} from '../api';

/** Jobs of each kind that are looked through at start; more than that have not been started lately. */
const LOOK_BACK = 100;

/** Which jobs of any kind have not ended, kept fresh by the platform's events. */
export class RunningJobs {
  constructor(private readonly _client: Pick<IPerijoveClient, 'list' | 'events' | 'status'>) {}

  get count(): number {
    return this._ids.size;
  }

  get changed(): ISignal<this, number> {
    return this._changed;
  }

  /** Begin once the platform is ready. */
  async start(): Promise<void> {
    await this._client.status.whenReady();
    for (const object of JOB_OBJECTS) {
      this._client.events.changes<IJobSummary>(object).connect(this._onEvent, this);
    }
    this._client.events.reset.connect(this._onReset, this);
    await this._read();
  }

  private async _read(): Promise<void> {
    try {
      const read = (object: JobObject) =>
        this._client.list<IJobSummary>(jobsPath(object), { limit: LOOK_BACK });
      const pages = await Promise.all(JOB_OBJECTS.map(read));
      const jobs = pages.flatMap(page => page.data);
      this._set(new Set(jobs.filter(job => !isEnded(job.state)).map(job => job.id)));
    } catch {
      // The count is an ornament: the section itself says what is wrong.
      this._set(new Set());
    }
  }

  private _onEvent(_: IEventStream, event: IPlatformEvent<IJobSummary>): void {
    const ids = new Set(this._ids);
    if (event.type.endsWith('.deleted') || isEnded(event.data.state)) {
      ids.delete(event.object_id);
    } else {
      ids.add(event.object_id);
    }
    this._set(ids);
  }

  private _onReset(): void {
    void this._read();
  }

  private _set(ids: ReadonlySet<string>): void {
    const before = this._ids.size;
    this._ids = ids;
    if (before !== ids.size) {
      this._changed.emit(ids.size);
    }
  }

  private _ids: ReadonlySet<string> = new Set();
  private readonly _changed = new Signal<this, number>(this);
}
