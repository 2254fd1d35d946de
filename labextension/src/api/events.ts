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
  readonly #client: Pick<IPerijoveClient, 'stream'>;
  readonly #status: IStatusSource;

  constructor(client: Pick<IPerijoveClient, 'stream'>, status: IStatusSource) {
    this.#client = client;
    this.#status = status;
  }

  changes<T = unknown>(object: string): ISignal<this, IPlatformEvent<T>> {
    let signal = this.#signals.get(object);
    if (!signal) {
      signal = new Signal<this, IPlatformEvent>(this);
      this.#signals.set(object, signal);
    }
    if (!this.#running) {
      this.#running = true;
      void this.#run();
    }
    return signal as Signal<this, IPlatformEvent<T>>;
  }

  get reset(): ISignal<this, void> {
    return this.#reset;
  }

  async #run(): Promise<void> {
    let wait = FIRST_WAIT;
    for (;;) {
      await this.#status.whenReady();
      try {
        const headers = this.#lastId === '' ? undefined : { 'Last-Event-ID': this.#lastId };
        for await (const event of this.#client.stream('/v1/events', { headers })) {
          wait = FIRST_WAIT;
          this.#receive(event);
        }
      } catch {
        // Whatever cut the stream, the status says below whether the platform is still there.
      }
      await new Promise(resolve => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, LONGEST_WAIT);
      await this.#status.refresh();
    }
  }

  #receive(received: IServerEvent): void {
    const first = this.#lastId === '';
    // A smaller id is another data directory: what is shown belongs to the old one.
    const other = Number(received.id) < Number(this.#lastId);
    this.#lastId = received.id;
    if (first || other || received.event === 'reset') {
      // Also at the first: what was read before the stream stood may have changed meanwhile.
      this.#reset.emit();
    }
    if (received.event === 'reset') {
      return;
    }
    if (received.data === '') {
      return;
    }
    const event: IPlatformEvent = JSON.parse(received.data);
    this.#signals.get(eventObject(event.type))?.emit(event);
  }

  readonly #signals = new Map<string, Signal<this, IPlatformEvent>>();
  readonly #reset = new Signal<this, void>(this);
  #running = false;
  #lastId = '';
}
