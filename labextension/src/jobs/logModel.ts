import { ISignal, Signal } from '@lumino/signaling';

import { LogBuffer } from './logBuffer';

/** Opens the log `tail` bytes before its end; the pieces come until it ends or `signal` is aborted. */
export type OpenLog = (
  options: { readonly tail: number; readonly follow: boolean },
  signal: AbortSignal
) => AsyncIterable<string>;

/** How many bytes of the end are asked for at first, and at most. */
const FIRST_TAIL = 64 * 1024;
const LONGEST_TAIL = 4 * 1024 * 1024;

/** Collected pieces are shown at most this often, in milliseconds. */
const INTERVAL = 100;

/**
 * The end of a job's log, followed while it grows, within bounds.
 */
export class LogModel {
  constructor(private readonly _open: OpenLog) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get lines(): readonly string[] {
    return this._buffer.lines;
  }

  /** The number of the first line that is held, from 0, since the log was opened. */
  get first(): number {
    return this._buffer.dropped;
  }

  /** Pieces may still come. */
  get streaming(): boolean {
    return this._abort !== null;
  }

  /** Why the log cannot be read, or null. */
  get error(): string | null {
    return this._error;
  }

  /** The log may have lines before those held, and there is room for them. */
  get hasEarlier(): boolean {
    return this._received >= this._tail && this._tail < LONGEST_TAIL && this._buffer.dropped === 0;
  }

  /** Read the end of the log, and follow it from there. */
  start(): void {
    this.stop();
    this._buffer.clear();
    this._received = 0;
    this._error = null;
    const abort = new AbortController();
    this._abort = abort;
    void this._read(abort);
  }

  /** Follow again if the stream broke off. */
  resume(): void {
    if (!this.streaming) {
      this.start();
    }
  }

  /** Read further back. */
  loadEarlier(): void {
    this._tail = Math.min(LONGEST_TAIL, this._tail * 8);
    this.start();
  }

  stop(): void {
    this._abort?.abort();
    this._abort = null;
  }

  dispose(): void {
    this.stop();
    clearTimeout(this._timer);
    this._timer = undefined;
    Signal.clearData(this);
  }

  private async _read(abort: AbortController): Promise<void> {
    try {
      const pieces = this._open({ tail: this._tail, follow: true }, abort.signal);
      for await (const piece of pieces) {
        if (abort.signal.aborted) {
          return;
        }
        this._buffer.push(piece);
        this._received += piece.length;
        this._announce();
      }
    } catch (error) {
      if (!abort.signal.aborted) {
        this._error = error instanceof Error ? error.message : String(error);
      }
    } finally {
      if (this._abort === abort) {
        this._abort = null;
        this._changed.emit();
      }
    }
  }

  private _announce(): void {
    this._timer ??= setTimeout(() => {
      this._timer = undefined;
      this._changed.emit();
    }, INTERVAL);
  }

  private _abort: AbortController | null = null;
  private _buffer = new LogBuffer();
  private _changed = new Signal<this, void>(this);
  private _error: string | null = null;
  /** Characters, which are as many bytes in all but a few logs. */
  private _received = 0;
  private _tail = FIRST_TAIL;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
