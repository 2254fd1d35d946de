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
  readonly #client: Pick<IPerijoveClient, 'list' | 'events' | 'status'>;

  constructor(client: Pick<IPerijoveClient, 'list' | 'events' | 'status'>) {
    this.#client = client;
  }

  get count(): number {
    return this.#ids.size;
  }

  get changed(): ISignal<this, number> {
    return this.#changed;
  }

  /** Begin once the platform is ready. */
  async start(): Promise<void> {
    await this.#client.status.whenReady();
    for (const object of JOB_OBJECTS) {
      this.#client.events.changes<IJobSummary>(object).connect(this.#onEvent, this);
    }
    this.#client.events.reset.connect(this.#onReset, this);
    await this.#read();
  }

  async #read(): Promise<void> {
    try {
      const read = (object: JobObject) =>
        this.#client.list<IJobSummary>(jobsPath(object), { limit: LOOK_BACK });
      const pages = await Promise.all(JOB_OBJECTS.map(read));
      const jobs = pages.flatMap(page => page.data);
      this.#set(new Set(jobs.filter(job => !isEnded(job.state)).map(job => job.id)));
    } catch {
      // The count is an ornament: the section itself says what is wrong.
      this.#set(new Set());
    }
  }

  #onEvent(_: IEventStream, event: IPlatformEvent<IJobSummary>): void {
    const ids = new Set(this.#ids);
    if (event.type.endsWith('.deleted') || isEnded(event.data.state)) {
      ids.delete(event.object_id);
    } else {
      ids.add(event.object_id);
    }
    this.#set(ids);
  }

  #onReset(): void {
    void this.#read();
  }

  #set(ids: ReadonlySet<string>): void {
    const before = this.#ids.size;
    this.#ids = ids;
    if (before !== ids.size) {
      this.#changed.emit(ids.size);
    }
  }

  #ids: ReadonlySet<string> = new Set();
  readonly #changed = new Signal<this, number>(this);
}
