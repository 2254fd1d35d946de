import { Signal } from '@lumino/signaling';

import { IJobEventChange, IJobsApi } from '../api';
import { JobDetailModel } from '../detailModel';
import { formId, FormStart, formStart } from '../ids';
import { ICheckpoint, IJob, IJobEvent } from '../types';
import { JobEndWatcher } from '../watcher';

const job = (change: Partial<IJob> = {}) =>
  ({ id: 'ftjob-1', state: 'running', finished_at: null, ...change }) as IJob;

const event = (number: number, change: Partial<IJobEvent> = {}) =>
  ({
    id: `ftevent-${String(number).padStart(4, '0')}`,
    type: 'message',
    message: `event ${number}`,
    data: null,
    ...change
  }) as IJobEvent;

const metric = (number: number, step: number) =>
  event(number, { type: 'metrics', data: { step, train_loss: 1 / step } });

/** Answers from memory; the pushes are sent by the test. */
class MemoryApi implements IJobsApi {
  readonly jobChanged: Signal<IJobsApi, IJob> = new Signal<IJobsApi, IJob>(this);
  readonly jobEvent: Signal<IJobsApi, IJobEventChange> = new Signal<IJobsApi, IJobEventChange>(
    this
  );
  readonly reset: Signal<IJobsApi, void> = new Signal<IJobsApi, void>(this);
  stored: IJobEvent[] = [];
  saved: ICheckpoint[] = [];
  pageSize = 2;
  answer: () => Promise<IJob> = async () => job();

  retrieve = () => this.answer();
  create = async () => job();
  act = async () => job();
  events = async (_: string, after?: string) => {
    const start = after ? this.stored.findIndex(one => one.id === after) + 1 : 0;
    const data = this.stored.slice(start, start + this.pageSize);
    return { object: 'list' as const, data, has_more: start + data.length < this.stored.length };
  };
  checkpoints = async () => this.saved;
  async *logs(): AsyncGenerator<string, void, void> {
    yield 'a line\n';
  }
  logUrl = () => '';
}

describe('JobDetailModel', () => {
  it('reads all pages of events, the newest first, and keeps metrics apart', async () => {
    const api = new MemoryApi();
    api.stored = [event(5), metric(4, 2), event(3), metric(2, 1), event(1)];
    const model = new JobDetailModel('ftjob-1', api);
    await model.load();
    expect(model.events.map(one => one.message)).toEqual(['event 5', 'event 3', 'event 1']);
    expect(model.metrics.series('train_loss', 'a', 'a').points.map(p => p.x)).toEqual([1, 2]);
    model.dispose();
  });

  it('takes what is pushed, once, and nothing of other jobs', async () => {
    const api = new MemoryApi();
    api.stored = [event(1)];
    const model = new JobDetailModel('ftjob-1', api);
    await model.load();
    api.jobEvent.emit({ jobId: 'ftjob-1', event: event(2) });
    api.jobEvent.emit({ jobId: 'ftjob-1', event: event(2) });
    api.jobEvent.emit({ jobId: 'ftjob-2', event: event(3) });
    api.jobChanged.emit(job({ id: 'ftjob-2', state: 'failed' }));
    api.jobChanged.emit(job({ state: 'paused' }));
    expect(model.events.map(one => one.message)).toEqual(['event 2', 'event 1']);
    expect(model.job?.state).toBe('paused');
    model.dispose();
  });

  it('does not let an old answer overwrite a push', async () => {
    const api = new MemoryApi();
    let answer: (job: IJob) => void = () => undefined;
    api.answer = () => new Promise(resolve => (answer = resolve));
    const model = new JobDetailModel('ftjob-1', api);
    const loaded = model.load();
    api.jobChanged.emit(job({ state: 'succeeded' }));
    answer(job({ state: 'running' }));
    await loaded;
    expect(model.job?.state).toBe('succeeded');
    model.dispose();
  });

  it('asks no checkpoints of a batch job', async () => {
    const api = new MemoryApi();
    api.answer = async () => job({ id: 'batchjob-1' });
    api.checkpoints = () => Promise.reject(new Error('A batch job has none.'));
    const model = new JobDetailModel('batchjob-1', api);
    await model.load();
    api.jobEvent.emit({ jobId: 'batchjob-1', event: event(1) });
    expect([model.error, model.events.length, model.checkpoints]).toEqual([null, 1, []]);
    model.dispose();
  });

  it('says why it cannot be shown', async () => {
    const api = new MemoryApi();
    api.answer = async () => {
      throw new Error('There is no such job.');
    };
    const model = new JobDetailModel('ftjob-1', api);
    await model.load();
    expect(model.error).toBe('There is no such job.');
    expect(model.job).toBeNull();
  });

  it('reads again when pushes were missed', async () => {
    const api = new MemoryApi();
    const model = new JobDetailModel('ftjob-1', api);
    await model.load();
    api.answer = async () => job({ state: 'cancelled' });
    const changed = new Promise<void>(resolve =>
      model.changed.connect(() => model.job?.state === 'cancelled' && resolve())
    );
    api.reset.emit();
    await changed;
    model.dispose();
  });
});

describe('JobEndWatcher', () => {
  function watch(now: number) {
    const changes = new Signal<object, { type: string; data: IJob }>({});
    const told: string[] = [];
    const client = { events: { changes: () => changes, reset: changes } };
    const watcher = new JobEndWatcher(
      client as unknown as ConstructorParameters<typeof JobEndWatcher>[0],
      ended => told.push(ended.id),
      now
    );
    watcher.start();
    const push = (data: IJob) => changes.emit({ type: 'fine_tuning.job.updated', data });
    return { push, told };
  }

  it('tells once of a job that ends', () => {
    const { push, told } = watch(1_000_000);
    push(job());
    push(job({ state: 'succeeded', finished_at: 1001 }));
    push(job({ state: 'succeeded', finished_at: 1001 }));
    expect(told).toEqual(['ftjob-1']);
  });

  it('does not tell of what was over before', () => {
    const { push, told } = watch(1_000_000);
    push(job({ state: 'failed', finished_at: 999 }));
    expect(told).toEqual([]);
    push(job({ id: 'ftjob-2', state: 'failed', finished_at: 1000 }));
    expect(told).toEqual(['ftjob-2']);
  });
});

describe('the id of a form', () => {
  it.each<FormStart>([
    { from: 'nothing' },
    { from: 'batch' },
    { from: 'job', id: 'batchjob-1' },
    { from: 'file', id: 'file-1' },
    { from: 'job', id: 'ftjob-1' }
  ])('says what it begins with: %j', start => {
    expect(formStart(formId(start))).toEqual(start);
  });

  it('begins with nothing when it says nothing that is known', () => {
    expect(formStart('other:1')).toEqual({ from: 'nothing' });
  });
});
