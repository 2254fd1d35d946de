import { JobMetrics } from '../metrics';
import { IJobEvent } from '../types';

function event(type: string, data: Record<string, unknown> | null): IJobEvent {
  return {
    id: 'ftevent-1',
    object: 'fine_tuning.job.event',
    created_at: 1,
    level: 'info',
    message: '',
    type,
    data
  };
}

describe('JobMetrics', () => {
  it('makes a curve of each metric, whatever the order of the events', () => {
    const metrics = new JobMetrics();
    expect(
      metrics.add([
        event('metrics', { step: 2, train_loss: 1.5, learning_rate: 1e-4 }),
        event('metrics', { step: 1, train_loss: 2 })
      ])
    ).toBe(true);
    expect(metrics.series('train_loss', 'a', 'Loss').points).toEqual([
      { x: 1, y: 2 },
      { x: 2, y: 1.5 }
    ]);
    expect(metrics.series('learning_rate', 'a', 'Rate').points).toEqual([{ x: 2, y: 1e-4 }]);
  });

  it('takes nothing from other events and from values that are no numbers', () => {
    const metrics = new JobMetrics();
    expect(
      metrics.add([
        event('message', { step: 1, train_loss: 2 }),
        event('metrics', { step: 1, train_loss: null }),
        event('metrics', null)
      ])
    ).toBe(false);
  });
});
