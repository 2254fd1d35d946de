import { nullTranslator } from '@jupyterlab/translation';

import { ordinal, reasonOf } from '../states';
import { IJob } from '../types';

const trans = nullTranslator.load('perijove');
const job = (change: Partial<IJob>) =>
  ({ state: 'queued', state_reason: null, queue_position: null, error: null, ...change }) as IJob;

describe('ordinal', () => {
  it.each([
    [1, '1st'],
    [2, '2nd'],
    [3, '3rd'],
    [4, '4th'],
    [11, '11th'],
    [12, '12th'],
    [13, '13th'],
    [21, '21st'],
    [112, '112th']
  ])('%p is %p', (place, said) => {
    expect(ordinal(place, trans)).toBe(said);
  });
});

describe('reasonOf', () => {
  it('says the place in the queue and what is waited for', () => {
    const state_reason = 'waiting for 2 × nvidia.com/gpu: 1 is free';
    expect(reasonOf(job({ queue_position: 2, state_reason }), trans)).toBe(
      '2nd in the queue: waiting for 2 × nvidia.com/gpu: 1 is free'
    );
    expect(reasonOf(job({ queue_position: 1 }), trans)).toBe('1st in the queue');
    expect(reasonOf(job({ state_reason }), trans)).toBe(state_reason);
  });

  it('says no place of what does not wait', () => {
    expect(reasonOf(job({ state: 'running', queue_position: 1 }), trans)).toBe('');
  });

  it('says why it failed, and not only that', () => {
    expect(
      reasonOf(job({ state: 'failed', state_reason: 'failed', error: { message: 'No.' } }), trans)
    ).toBe('No.');
  });
});
