/** One event of a `text/event-stream`. */
export interface IServerSentEvent {
  readonly event: string;
  readonly data: string;
  readonly id: string;
}

/**
 * Puts server-sent events together from text that arrives in arbitrary pieces.
 *
 * Follows the WHATWG HTML standard, section "Server-sent events": lines end in
 * CR, LF or CRLF, several `data` lines are joined by a newline, a blank line
 * dispatches, and an unfinished event at the end of the stream is discarded.
 */
export class EventStreamDecoder {
  /**
   * Take the next piece of text.
   *
   * @returns the events that it completes
   */
  push(text: string): IServerSentEvent[] {
    const events: IServerSentEvent[] = [];
    let rest = this._rest + text;
    if (!this._started && rest !== '') {
      this._started = true;
      rest = rest.replace(/^\uFEFF/, '');
    }
    for (;;) {
      const match = /\r\n|\n|\r/.exec(rest);
      // A CR at the very end may be the first half of a CRLF.
      if (!match || (match[0] === '\r' && match.index === rest.length - 1)) {
        break;
      }
      const event = this._line(rest.slice(0, match.index));
      rest = rest.slice(match.index + match[0].length);
      if (event) {
        events.push(event);
      }
    }
    this._rest = rest;
    return events;
  }

  private _line(line: string): IServerSentEvent | null {
    if (line === '') {
      return this._dispatch();
    }
    const colon = line.indexOf(':');
    if (colon === 0) {
      return null;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') {
      this._data.push(value);
    } else if (field === 'event') {
      this._event = value;
    } else if (field === 'id' && !value.includes('\0')) {
      this._id = value;
    }
    return null;
  }

  private _dispatch(): IServerSentEvent | null {
    const data = this._data;
    const event = this._event;
    this._data = [];
    this._event = '';
    if (data.length === 0) {
      return null;
    }
    return { event: event || 'message', data: data.join('\n'), id: this._id };
  }

  private _rest = '';
  private _started = false;
  private _data: string[] = [];
  private _event = '';
  private _id = '';
}

/**
 * The events of a response body, as they arrive.
 *
 * Leaving the loop early cancels the body, and with it the request.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>
): AsyncGenerator<IServerSentEvent> {
  const decoder = new EventStreamDecoder();
  const reader = body.getReader();
  const text = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      yield* decoder.push(text.decode(value, { stream: true }));
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
