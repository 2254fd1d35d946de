import { TranslationBundle } from '@jupyterlab/translation';
import { PromiseDelegate } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import { ApiError, errorText } from './errors';
import { IStatusSource } from './tokens';
import { IPlatformStatus } from './types';

/** How soon to ask again while the platform starts, in ms. */
const STARTING_WAIT = 700;

/** How soon to ask again when it is away, in ms, growing with each try. */
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

/** Follows the platform: asks until it is ready, and then only when somebody has reason to doubt it. */
export class PlatformStatus implements IStatusSource {
  readonly #send: (path: string, method: string) => Promise<Response>;
  private readonly _trans: TranslationBundle;

  constructor(send: (path: string, method: string) => Promise<Response>, trans: TranslationBundle) {
    this.#send = send;
    this._trans = trans;
  }

  get current(): IPlatformStatus | null {
    return this.#current;
  }

  get changed(): ISignal<this, IPlatformStatus> {
    return this.#changed;
  }

  refresh(): Promise<IPlatformStatus> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async restart(): Promise<void> {
    const response = await this.#send('restart', 'POST');
    if (!response.ok) {
      throw await ApiError.from(response);
    }
    this.#wait = FIRST_WAIT;
    await this.refresh();
  }

  async whenReady(): Promise<void> {
    if (this.#current?.state === 'ready') {
      return;
    }
    void this.refresh();
    await this.#ready.promise;
  }

  async #ask(): Promise<IPlatformStatus> {
    window.clearTimeout(this.#timer);
    const status = await this.#read();
    const before = this.#current;
    this.#current = status;
    if (status.state === 'ready') {
      this.#wait = FIRST_WAIT;
      this.#ready.resolve();
    } else {
      if (before?.state === 'ready') {
        this.#ready = new PromiseDelegate<void>();
      }
      const starting = status.state === 'starting';
      this.#timer = window.setTimeout(
        () => void this.refresh(),
        starting ? STARTING_WAIT : this.#wait
      );
      this.#wait = starting ? FIRST_WAIT : Math.min(this.#wait * 2, LONGEST_WAIT);
    }
    if (JSON.stringify(before) !== JSON.stringify(status)) {
      this.#changed.emit(status);
    }
    return status;
  }

  async #read(): Promise<IPlatformStatus> {
    try {
      const response = await this.#send('status', 'GET');
      if (!response.ok) {
        throw await ApiError.from(response);
      }
      return await response.json();
    } catch (error) {
      const missing = error instanceof ApiError && error.status === 404;
      return {
        state: 'unreachable',
        reason: missing
          ? this._trans.__('The Jupyter server does not have the Perijove extension.')
          : errorText(error),
        remedy: missing
          ? this._trans.__(
              'Install perijove into the environment of the Jupyter server, and start the server again.'
            )
          : null,
        embedded: false,
        version: null,
        base_url: null
      };
    }
  }

  #current: IPlatformStatus | null = null;
  readonly #changed = new Signal<this, IPlatformStatus>(this);
  #asking: Promise<IPlatformStatus> | null = null;
  #ready = new PromiseDelegate<void>();
  #timer = 0;
  #wait = FIRST_WAIT;
}
