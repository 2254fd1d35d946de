import { IServerEvent, readServerEvents } from '../sse';

function body(...chunks: readonly (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) {
        controller.enqueue(typeof chunk === 'string' ? encoder.encode(chunk) : chunk);
      }
      controller.close();
    }
  });
}

async function read(...chunks: readonly (string | Uint8Array)[]): Promise<IServerEvent[]> {
  const events: IServerEvent[] = [];
  for await (const event of readServerEvents(body(...chunks))) {
    events.push(event);
  }
  return events;
}

describe('readServerEvents', () => {
  it('reads id, event and data, and joins lines of data', async () => {
    expect(await read('id: 7\nevent: file.created\ndata: {\ndata: }\n\n')).toEqual([
      { id: '7', event: 'file.created', data: '{\n}' }
    ]);
  });

  it('does not care where the bytes are cut', async () => {
    const bytes = new TextEncoder().encode('data: crème\r\n\r\ndata: 2\n\n');
    for (let cut = 1; cut < bytes.length; cut++) {
      const events = await read(bytes.slice(0, cut), bytes.slice(cut));
      expect(events.map(event => event.data)).toEqual(['crème', '2']);
    }
  });

  it('skips comments and keeps the last id', async () => {
    expect(await read(': hello\n\nid: 3\n\n: keep-alive\n\ndata: x\n\n')).toEqual([
      { id: '3', event: 'message', data: '' },
      { id: '3', event: 'message', data: 'x' }
    ]);
  });

  it('drops an event that the end of the stream cuts off', async () => {
    expect(await read('data: whole\n\ndata: half\n')).toEqual([
      { id: '', event: 'message', data: 'whole' }
    ]);
  });
});
