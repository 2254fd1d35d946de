import { Signal } from '@lumino/signaling';

import { IEventStream, IJobSummary, IPlatformEvent } from '../../api';
import { RunningJobs } from '../running';

function job(number: number, state: IJobSummary['state']): IJobSummary {
  return { id: `ftjob-${number}`, object: 'fine_tuning.job', state };
}

describe('RunningJobs', () => {
  it('counts jobs of all kinds that have not ended, and follows events', async () => {
    const events = {} as { -readonly [K in keyof IEventStream]: IEventStream[K] };
    const changed = new Signal<IEventStream, IPlatformEvent<IJobSummary>>(events);
    events.changes = (() => changed) as unknown as IEventStream['changes'];
    events.reset = new Signal<IEventStream, void>(events);
    const running = new RunningJobs({
      events,
      status: { whenReady: () => Promise.resolve() } as never,
      list: path =>
        Promise.resolve({
          object: 'list',
          data: path.endsWith('/batch_jobs')
            ? [{ ...job(9, 'running'), id: 'batchjob-9' }]
            : [job(1, 'running'), job(2, 'succeeded'), job(3, 'paused')],
          has_more: false
        } as never)
    });
    await running.start();
    expect(running.count).toBe(3);
    const emit = (item: IJobSummary, type = 'fine_tuning.job.updated'): void =>
      changed.emit({ id: 1, type, created_at: 0, object_id: item.id, data: item });
    emit(job(4, 'queued'), 'fine_tuning.job.created');
    emit(job(1, 'succeeded'));
    expect(running.count).toBe(3);
    emit(job(3, 'cancelled'));
    expect(running.count).toBe(2);
  });
});
