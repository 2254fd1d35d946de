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
  constructor(
    private readonly _client: Pick<IPerijoveClient, 'events'>,
    private readonly _onEnd: (job: IJob) => void,
    now: number = Date.now()
  ) {
    this._since = Math.floor(now / 1000);
  }

  start(): void {
    for (const object of JOB_OBJECTS) {
      this._client.events.changes<IJob>(object).connect(this._onEvent, this);
    }
  }

  private _onEvent(_: IEventStream, event: IPlatformEvent<IJob>): void {
    const job = event.data;
    if (event.type.endsWith('.deleted')) {
      return;
    }
    if (!isEnded(job.state)) {
      this._underWay.add(job.id);
      this._told.delete(job.id);
    } else if (
      !this._told.has(job.id) &&
      (this._underWay.delete(job.id) || (job.finished_at ?? 0) >= this._since)
    ) {
      this._remember(job.id);
      this._onEnd(job);
    }
  }

  private _remember(id: string): void {
    this._told.add(id);
    if (this._told.size > MAX_REMEMBERED) {
      const [oldest] = this._told;
      this._told.delete(oldest);
    }
  }

  private readonly _since: number;
  private readonly _told = new Set<string>();
  private readonly _underWay = new Set<string>();
}
