import { ISignal, Signal } from '@lumino/signaling';

import { errorText } from '../api/errors';
import { LogBuffer, placeOf } from './logBuffer';

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

/** One request for the log and what has come of it. */
class Reading {
  /** @param earlier - whether it is to bring lines before those held */
  constructor(
    readonly tail: number,
    readonly earlier: boolean
  ) {}

  readonly abort = new AbortController();
  readonly buffer = new LogBuffer();
  /** Why it ended too soon, or null. */
  error: string | null = null;
  ended = false;
  /** The number of the first line that came; a line keeps its number from one reading to the next. */
  origin = 0;
  /** Bytes. */
  received = 0;

  push(piece: string): void {
    this.buffer.push(piece);
    this.received += new Blob([piece]).size;
  }

  /** The number of the first line that is held. */
  get first(): number {
    return this.origin + this.buffer.dropped;
  }

  /** All that was there when the log was opened has come, and there may be more before it. */
  get full(): boolean {
    return this.received >= this.tail;
  }
}

/**
 * The end of a job's log, followed while it grows, within bounds.
 *
 * All lines that are shown come from one request, so that none is lost or doubled. Reading further back, or again
 * after a break, is another request; it takes over once it has all that is shown.
 */
export class LogModel {
  readonly #open: OpenLog;

  constructor(open: OpenLog) {
    this.#open = open;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  get lines(): readonly string[] {
    return this.#shown.buffer.lines;
  }

  /** The number of the first line that is held. A line keeps its number; 0 was the first when the log was opened. */
  get first(): number {
    return this.#shown.first;
  }

  /** Pieces may still come. */
  get streaming(): boolean {
    return this.#started && (!this.#shown.ended || this.#next !== null);
  }

  /** Why the log cannot be read, or null. */
  get error(): string | null {
    return this.#error;
  }

  /** The log may have lines before those held, and there is room for them. */
  get hasEarlier(): boolean {
    const { full, tail, buffer } = this.#shown;
    return full && !this.#fromBeginning && tail < LONGEST_TAIL && buffer.dropped === 0;
  }

  /** Lines before those held are on their way. */
  get loadingEarlier(): boolean {
    return this.#next?.earlier ?? false;
  }

  /** The log has lines before those held for which there is no room. */
  get cut(): boolean {
    const { full, tail, buffer } = this.#shown;
    return buffer.dropped > 0 || (full && !this.#fromBeginning && tail >= LONGEST_TAIL);
  }

  /** Read the end of the log, and follow it from there. */
  start(): void {
    this.#error = null;
    this.#started = true;
    // What is shown and what was written since; of a longer break there is a gap.
    const tail = Math.max(FIRST_TAIL, this.#shown.received + FIRST_TAIL / 2);
    this.#begin(new Reading(Math.min(LONGEST_TAIL, tail), false));
  }

  /** Follow again if the stream broke off. */
  resume(): void {
    if (!this.streaming) {
      this.start();
    }
  }

  /** Read further back. */
  loadEarlier(): void {
    if (!this.loadingEarlier) {
      this.#error = null;
      this.#begin(new Reading(Math.min(LONGEST_TAIL, this.#shown.tail * 8), true));
      this.#changed.emit();
    }
  }

  stop(): void {
    this.#started = false;
    this.#shown.abort.abort();
    this.#next?.abort.abort();
    this.#next = null;
  }

  dispose(): void {
    this.stop();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    Signal.clearData(this);
  }

  #begin(reading: Reading): void {
    this.#next?.abort.abort();
    this.#next = reading;
    if (this.lines.length === 0) {
      this.#show(reading, 0);
    }
    void this.#read(reading);
  }

  async #read(reading: Reading): Promise<void> {
    const { signal } = reading.abort;
    try {
      for await (const piece of this.#open({ tail: reading.tail, follow: true }, signal)) {
        if (signal.aborted) {
          return;
        }
        reading.push(piece);
        this.#announce();
      }
    } catch (error) {
      if (!signal.aborted) {
        reading.error = errorText(error);
        this.#error = reading.error;
      }
    } finally {
      reading.ended = true;
      if (!signal.aborted) {
        this.#takeOver();
        this.#changed.emit();
      }
    }
  }

  /** Show the newer reading when it has all that is shown. */
  #takeOver(): void {
    const next = this.#next;
    if (!next) {
      return;
    }
    const held = this.#shown.buffer.complete;
    const lines = next.buffer.complete;
    const at = placeOf(held, lines);
    if (at >= 0) {
      this.#fromBeginning ||= next.earlier && at === 0;
      this.#show(next, this.#shown.first - at);
    } else if (next.full || (next.ended && next.error === null)) {
      // The platform no longer has all that is shown, or there is a gap before what it sends.
      this.#fromBeginning = false;
      this.#show(next, this.#shown.first + held.length - lines.length);
    } else if (next.ended) {
      this.#next = null;
    }
  }

  /** @param first - the number of its first line */
  #show(reading: Reading, first: number): void {
    reading.origin = first - reading.buffer.dropped;
    this.#shown.abort.abort();
    this.#shown = reading;
    this.#next = null;
  }

  #announce(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#takeOver();
      this.#changed.emit();
    }, INTERVAL);
  }

  #changed = new Signal<this, void>(this);
  #error: string | null = null;
  /** The first line that is held is the log's first. */
  #fromBeginning = false;
  #next: Reading | null = null;
  #shown = new Reading(FIRST_TAIL, false);
  #started = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
}
