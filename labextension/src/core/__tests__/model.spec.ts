import { Signal } from '@lumino/signaling';

import { IEventStream, IObject, IPage, IPlatformEvent, Query } from '../../api';
import { ObjectListModel } from '../list/model';
import { PAGE_SIZE } from '../list/pages';

interface IThing extends IObject {
  readonly size: number;
}

function thing(number: number, size = 0): IThing {
  return { id: `thing-${number}`, object: 'thing', size };
}

/** A platform with things, newest first; a page can be held back. */
class FakePlatform {
  things: IThing[] = [];
  failure: Error | null = null;
  hold: Promise<void> = Promise.resolve();
  readonly events: IEventStream;
  readonly changed: Signal<IEventStream, IPlatformEvent<IThing>>;
  readonly reset: Signal<IEventStream, void>;

  constructor() {
    const events = {} as { -readonly [K in keyof IEventStream]: IEventStream[K] };
    this.changed = new Signal<IEventStream, IPlatformEvent<IThing>>(events);
    this.reset = new Signal<IEventStream, void>(events);
    events.changes = (() => this.changed) as unknown as IEventStream['changes'];
    events.reset = this.reset;
    this.events = events;
  }

  async list<T extends IObject>(path: string, query: Query = {}): Promise<IPage<T>> {
    const from = this.things.findIndex(item => item.id === query.after) + 1;
    const data = this.things.slice(from, from + Number(query.limit));
    const more = from + data.length < this.things.length;
    await this.hold;
    if (this.failure) {
      throw this.failure;
    }
    return { object: 'list', data: data as unknown as T[], has_more: more };
  }

  emit(type: string, item: IThing): void {
    this.changed.emit({ id: 1, type, created_at: 0, object_id: item.id, data: item });
  }
}

function setUp(count: number): { platform: FakePlatform; model: ObjectListModel<IThing> } {
  const platform = new FakePlatform();
  platform.things = Array.from({ length: count }, (_, index) => thing(count - index));
  const model = new ObjectListModel<IThing>(platform, { path: '/v1/things', object: 'thing' });
  return { platform, model };
}

describe('ObjectListModel', () => {
  it('reads page after page', async () => {
    const { model } = setUp(PAGE_SIZE + 3);
    await model.load();
    expect([model.items.length, model.hasMore]).toEqual([PAGE_SIZE, true]);
    await model.loadMore();
    expect([model.items.length, model.hasMore]).toEqual([PAGE_SIZE + 3, false]);
    expect(new Set(model.items.map(item => item.id)).size).toBe(PAGE_SIZE + 3);
  });

  it('follows events', async () => {
    const { platform, model } = setUp(2);
    await model.load();
    platform.emit('thing.created', thing(3));
    platform.emit('thing.updated', thing(1, 5));
    platform.emit('thing.deleted', thing(2));
    expect(model.items).toEqual([thing(3), thing(1, 5)]);
  });

  it('keeps what an event said while a page was on its way', async () => {
    const { platform, model } = setUp(2);
    let release = (): void => undefined;
    platform.hold = new Promise(resolve => (release = resolve));
    const loading = model.load();
    await Promise.resolve();
    platform.emit('thing.created', thing(9));
    platform.emit('thing.updated', thing(2, 7));
    platform.emit('thing.deleted', thing(1));
    release();
    await loading;
    expect(model.items).toEqual([thing(9), thing(2, 7)]);
  });

  it('reads as many again after missed events, and forgets the selection of what is gone', async () => {
    const { platform, model } = setUp(PAGE_SIZE + 3);
    await model.load();
    await model.loadMore();
    model.selection.only('thing-1');
    platform.things = platform.things.slice(0, -1);
    platform.reset.emit();
    await new Promise(resolve => setTimeout(resolve));
    expect(model.items.length).toBe(PAGE_SIZE + 2);
    expect(model.selection.ids.size).toBe(0);
  });

  it('says why it failed and recovers', async () => {
    const { platform, model } = setUp(1);
    platform.failure = new Error('No answer.');
    await model.load();
    expect([model.state, model.error]).toEqual(['failed', 'No answer.']);
    platform.failure = null;
    await model.reload();
    expect([model.state, model.error, model.items.length]).toEqual(['ready', null, 1]);
  });

  it('keeps what leads at the top', async () => {
    const platform = new FakePlatform();
    platform.things = [thing(0), thing(2), thing(1)];
    const model = new ObjectListModel<IThing>(platform, {
      path: '/v1/things',
      object: 'thing',
      leads: item => item.id === 'thing-0'
    });
    await model.load();
    platform.emit('thing.created', thing(3));
    platform.emit('thing.updated', thing(0, 7));
    expect(model.items.map(item => item.id)).toEqual(['thing-0', 'thing-3', 'thing-2', 'thing-1']);
    expect(model.items[0].size).toBe(7);
    const reading = model.reload();
    platform.emit('thing.created', thing(4));
    await reading;
    expect(model.items.map(item => item.id).slice(0, 2)).toEqual(['thing-0', 'thing-4']);
    model.dispose();
  });
});
