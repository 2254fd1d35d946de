import { ISignal, Signal } from '@lumino/signaling';

import { IServerEvent } from './sse';
import { IEventStream, IPerijoveClient, IStatusSource } from './tokens';
import { IPlatformEvent } from './types';

/** Wait before the stream is opened again, in ms: doubles up to the longest, with jitter. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;

/** The last part of an event's type says what happened, unless the whole is an object of its own. */
const VERBS = ['.created', '.updated', '.deleted'];

/** The object that an event is about: `fine_tuning.job` of `fine_tuning.job.updated`. */
export function eventObject(type: string): string {
  const verb = VERBS.find(ending => type.endsWith(ending));
  return verb ? type.slice(0, -verb.length) : type;
}

/** The one stream of `GET /v1/events` that this Lab holds. */
export class EventStream implements IEventStream {
  constructor(
    private readonly _client: Pick<IPerijoveClient, 'stream'>,
    private readonly _status: IStatusSource
  ) {}

  changes<T = unknown>(object: string): ISignal<this, IPlatformEvent<T>> {
    let signal = this._signals.get(object);
    if (!signal) {
      signal = new Signal<this, IPlatformEvent>(this);
      this._signals.set(object, signal);
    }
    if (!this._running) {
      this._running = true;
      void this._run();
    }
    return signal as Signal<this, IPlatformEvent<T>>;
  }

  get reset(): ISignal<this, void> {
    return this._reset;
  }

  private async _run(): Promise<void> {
    let wait = FIRST_WAIT;
    for (;;) {
      await this._status.whenReady();
      try {
        const headers = this._lastId === '' ? undefined : { 'Last-Event-ID': this._lastId };
        for await (const event of this._client.stream('/v1/events', { headers })) {
          wait = FIRST_WAIT;
          this._receive(event);
        }
      } catch {
        // Whatever cut the stream, the status says below whether the platform is still there.
      }
      await new Promise(resolve => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, LONGEST_WAIT);
      await this._status.refresh();
    }
  }

  private _receive(received: IServerEvent): void {
    const first = this._lastId === '';
    // A smaller id is another data directory: what is shown belongs to the old one.
    const other = Number(received.id) < Number(this._lastId);
    this._lastId = received.id;
    if (first || other || received.event === 'reset') {
      // Also at the first: what was read before the stream stood may have changed meanwhile.
      this._reset.emit();
    }
    if (received.event === 'reset') {
      return;
    }
    if (received.data === '') {
      return;
    }
    const event: IPlatformEvent = JSON.parse(received.data);
    this._signals.get(eventObject(event.type))?.emit(event);
  }

  private readonly _signals = new Map<string, Signal<this, IPlatformEvent>>();
  private readonly _reset = new Signal<this, void>(this);
  private _running = false;
  private _lastId = '';
}
