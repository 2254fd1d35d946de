/** One server-sent event. */
export interface IServerEvent {
  /** The last id that was seen, "" when none was. */
  readonly id: string;
  /** "message" unless the stream names another. */
  readonly event: string;
  readonly data: string;
}

/**
 * Read server-sent events (WHATWG HTML, "Server-sent events") from the body of a response.
 *
 * A block without data but with an id is passed on with empty data, because it says where to resume.
 */
export async function* readServerEvents(
  body: ReadableStream<Uint8Array>
): AsyncGenerator<IServerEvent, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let block: string[] = [];
  let lastId = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line !== '') {
          block.push(line);
          continue;
        }
        const event = parseBlock(block, lastId);
        block = [];
        if (event) {
          lastId = event.id;
          yield event;
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parseBlock(lines: readonly string[], lastId: string): IServerEvent | null {
  let id = lastId;
  let event = 'message';
  const data: string[] = [];
  for (const line of lines) {
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
    if (field === 'data') {
      data.push(value ?? '');
    } else if (field === 'event') {
      event = value ?? 'message';
    } else if (field === 'id') {
      id = value ?? '';
    }
  }
  return data.length > 0 || id !== lastId ? { id, event, data: data.join('\n') } : null;
}
