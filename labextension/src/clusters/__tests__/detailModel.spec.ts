import { Signal } from '@lumino/signaling';

import { ApiError, IClusterDetail, IEventStream, IPlatformEvent, IQuota } from '../../api';
import { ClusterDetailModel } from '../detailModel';

const detail = (change: object = {}) =>
  ({
    id: 'cluster_1',
    kind: 'kubernetes',
    state: 'registering',
    node_list: [],
    ...change
  }) as unknown as IClusterDetail;

/** Answers from memory; the events are sent by the test. */
function setUp(answer: () => Promise<IClusterDetail>) {
  const signals = new Map<string, Signal<IEventStream, IPlatformEvent>>();
  const events = {} as { -readonly [K in keyof IEventStream]: IEventStream[K] };
  events.changes = ((object: string) => {
    const signal = signals.get(object) ?? new Signal<IEventStream, IPlatformEvent>(events);
    signals.set(object, signal);
    return signal;
  }) as unknown as IEventStream['changes'];
  const reset = new Signal<IEventStream, void>(events);
  events.reset = reset;
  const counts = { retrieve: 0, quotas: 0 };
  const api = {
    retrieve: () => {
      counts.retrieve += 1;
      return answer();
    },
    quotas: async () => {
      counts.quotas += 1;
      return [{ project_id: 'proj-1' } as IQuota];
    }
  };
  const model = new ClusterDetailModel('cluster_1', api, events);
  const push = (object: string, verb: string, data: object, object_id = 'cluster_1') =>
    signals.get(object)?.emit({ id: 1, type: `${object}.${verb}`, created_at: 0, object_id, data });
  return { model, push, counts, reset };
}

const settled = () => new Promise(resolve => setTimeout(resolve));

describe('ClusterDetailModel', () => {
  it('shows an event at once, keeps what lists do not show, and reads the rest again', async () => {
    let answer = detail({ node_list: [{ name: 'node-1' }] });
    const { model, push } = setUp(async () => answer);
    await model.load();
    answer = detail({ state: 'connected', node_list: [{ name: 'node-2' }] });
    push('cluster', 'updated', { id: 'cluster_1', state: 'connected' });
    expect(model.cluster?.state).toBe('connected');
    expect(model.cluster?.node_list[0].name).toBe('node-1');
    await settled();
    expect(model.cluster?.node_list[0].name).toBe('node-2');
    expect(model.quotas).toHaveLength(1);
    model.dispose();
  });

  it('reads once more, however much happens while it reads', async () => {
    const { model, push, counts } = setUp(async () => detail());
    const loaded = model.load();
    for (let i = 0; i < 20; i++) {
      push('cluster', 'updated', { id: 'cluster_1' });
      push('cluster.quota', 'updated', {});
    }
    push('cluster', 'updated', { id: 'cluster_2' }, 'cluster_2');
    await loaded;
    await settled();
    expect(counts.retrieve).toBe(2);
    model.dispose();
  });

  it('knows that it is gone, whatever an old answer says', async () => {
    let release: (found: IClusterDetail) => void = () => undefined;
    const { model, push } = setUp(() => new Promise(resolve => (release = resolve)));
    const loaded = model.load();
    push('cluster', 'deleted', { id: 'cluster_1' });
    release(detail());
    await loaded;
    expect(model.gone).toBe(true);
    model.dispose();
  });

  it('says why it cannot be read, and that there is none', async () => {
    let error = new ApiError('Not now.', 503);
    const { model } = setUp(() => Promise.reject(error));
    await model.load();
    expect([model.error, model.gone]).toEqual(['Not now.', false]);
    error = new ApiError('No cluster.', 404);
    await model.load();
    expect(model.gone).toBe(true);
    model.dispose();
  });

  it('asks for no quotas of the platform’s own machine', async () => {
    const { model, counts } = setUp(async () => detail({ kind: 'local' }));
    await model.load();
    expect(counts.quotas).toBe(0);
    model.dispose();
  });

  it('reads again when events were missed', async () => {
    const { model, counts, reset } = setUp(async () => detail());
    await model.load();
    reset.emit();
    await settled();
    expect(counts.retrieve).toBe(2);
    model.dispose();
  });
});
