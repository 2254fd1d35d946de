import { IEventStream, IPerijoveClient, IPlatformEvent, isEnded, JOB_OBJECTS } from '../api';
import { IJob } from './types';

/** The most jobs whose end is remembered. */
const MAX_REMEMBERED = 200;

/**
 * Tells once of each job of any kind that ends while this Lab is open.
 *
 * A job that was over before is not told of: it has to be seen under way first,
 * or to have ended after the watch began.
 */
export class JobEndWatcher {
  readonly #client: Pick<IPerijoveClient, 'events'>;
  readonly #onEnd: (job: IJob) => void;

  constructor(
    client: Pick<IPerijoveClient, 'events'>,
    onEnd: (job: IJob) => void,
    now: number = Date.now()
  ) {
    this.#client = client;
    this.#onEnd = onEnd;
    this.#since = Math.floor(now / 1000);
  }

  start(): void {
    for (const object of JOB_OBJECTS) {
      this.#client.events.changes<IJob>(object).connect(this.#onEvent, this);
    }
  }

  #onEvent(_: IEventStream, event: IPlatformEvent<IJob>): void {
    const job = event.data;
    if (event.type.endsWith('.deleted')) {
      return;
    }
    if (!isEnded(job.state)) {
      this.#underWay.add(job.id);
      this.#told.delete(job.id);
    } else if (
      !this.#told.has(job.id) &&
      (this.#underWay.delete(job.id) || (job.finished_at ?? 0) >= this.#since)
    ) {
      this.#remember(job.id);
      this.#onEnd(job);
    }
  }

  #remember(id: string): void {
    this.#told.add(id);
    if (this.#told.size > MAX_REMEMBERED) {
      const [oldest] = this.#told;
      this.#told.delete(oldest);
    }
  }

  readonly #since: number;
  readonly #told = new Set<string>();
  readonly #underWay = new Set<string>();
}
