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
  constructor(
    private readonly _send: (path: string, method: string) => Promise<Response>,
    private readonly _trans: TranslationBundle
  ) {}

  get current(): IPlatformStatus | null {
    return this._current;
  }

  get changed(): ISignal<this, IPlatformStatus> {
    return this._changed;
  }

  refresh(): Promise<IPlatformStatus> {
    this._asking ??= this._ask().finally(() => {
      this._asking = null;
    });
    return this._asking;
  }

  async restart(): Promise<void> {
    const response = await this._send('restart', 'POST');
    if (!response.ok) {
      throw await ApiError.from(response);
    }
    this._wait = FIRST_WAIT;
    await this.refresh();
  }

  async whenReady(): Promise<void> {
    if (this._current?.state === 'ready') {
      return;
    }
    void this.refresh();
    await this._ready.promise;
  }

  private async _ask(): Promise<IPlatformStatus> {
    window.clearTimeout(this._timer);
    const status = await this._read();
    const before = this._current;
    this._current = status;
    if (status.state === 'ready') {
      this._wait = FIRST_WAIT;
      this._ready.resolve();
    } else {
      if (before?.state === 'ready') {
        this._ready = new PromiseDelegate<void>();
      }
      const starting = status.state === 'starting';
      this._timer = window.setTimeout(
        () => void this.refresh(),
        starting ? STARTING_WAIT : this._wait
      );
      this._wait = starting ? FIRST_WAIT : Math.min(this._wait * 2, LONGEST_WAIT);
    }
    if (JSON.stringify(before) !== JSON.stringify(status)) {
      this._changed.emit(status);
    }
    return status;
  }

  private async _read(): Promise<IPlatformStatus> {
    try {
      const response = await this._send('status', 'GET');
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

  private _current: IPlatformStatus | null = null;
  private readonly _changed = new Signal<this, IPlatformStatus>(this);
  private _asking: Promise<IPlatformStatus> | null = null;
  private _ready = new PromiseDelegate<void>();
  private _timer = 0;
  private _wait = FIRST_WAIT;
}
