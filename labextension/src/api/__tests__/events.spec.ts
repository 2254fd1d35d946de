import { Signal } from '@lumino/signaling';

import { eventObject, EventStream } from '../events';
import { IServerEvent } from '../sse';
import { IRequest, IStatusSource } from '../tokens';
import { IPlatformEvent } from '../types';

const READY: IStatusSource = {
  current: null,
  changed: new Signal({}) as unknown as IStatusSource['changed'],
  refresh: () => Promise.resolve({} as never),
  restart: () => Promise.resolve(),
  whenReady: () => Promise.resolve()
};

function event(id: number, type: string): IServerEvent {
  const data = { id, type, created_at: 0, object_id: 'file-1', data: { id: 'file-1' } };
  return { id: String(id), event: type, data: JSON.stringify(data) };
}

/** A client whose streams end after the given events; the last one stays open. */
function client(...streams: readonly (readonly IServerEvent[])[]): {
  stream: (path: string, request?: IRequest) => AsyncGenerator<IServerEvent, void, undefined>;
  resumedAt: (string | undefined)[];
} {
  const left = [...streams];
  const resumedAt: (string | undefined)[] = [];
  return {
    resumedAt,
    async *stream(path, request) {
      resumedAt.push(request?.headers?.['Last-Event-ID']);
      yield* left.shift() ?? [];
      if (left.length === 0) {
        await new Promise(() => undefined);
      }
    }
  };
}

const HELLO: IServerEvent = { id: '10', event: 'message', data: '' };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

describe('eventObject', () => {
  it('takes the verb off', () => {
    expect(eventObject('fine_tuning.job.updated')).toBe('fine_tuning.job');
    expect(eventObject('fine_tuning.job.event')).toBe('fine_tuning.job.event');
  });
});

describe('EventStream', () => {
  it('gives events to those who asked for their object', async () => {
    const stream = new EventStream(
      client([HELLO, event(11, 'file.created'), event(12, 'model.updated')]),
      READY
    );
    const files: string[] = [];
    const models: string[] = [];
    stream.changes('file').connect((_, args: IPlatformEvent) => files.push(args.type), stream);
    stream.changes('model').connect((_, args: IPlatformEvent) => models.push(args.type), stream);
    await until(() => models.length > 0);
    expect([files, models]).toEqual([['file.created'], ['model.updated']]);
  });

  it('resumes after the last event, and reads lists again only at first', async () => {
    const source = client([HELLO, event(11, 'file.created')], [event(12, 'file.deleted')]);
    const stream = new EventStream(source, READY);
    const seen: string[] = [];
    let resets = 0;
    stream.changes('file').connect((_, args: IPlatformEvent) => seen.push(args.type), stream);
    stream.reset.connect(() => (resets += 1), stream);
    await until(() => seen.length === 2);
    expect(source.resumedAt).toEqual([undefined, '11']);
    expect(resets).toBe(1);
  });

  it('says so when events are gone', async () => {
    const stream = new EventStream(
      client([HELLO, { id: '90', event: 'reset', data: '{}' }, event(91, 'file.created')]),
      READY
    );
    let resets = 0;
    const seen: string[] = [];
    stream.reset.connect(() => (resets += 1), stream);
    stream.changes('file').connect((_, args: IPlatformEvent) => seen.push(args.type), stream);
    await until(() => seen.length === 1);
    expect(resets).toBe(2);
  });
});
