import { nullTranslator } from '@jupyterlab/translation';

import { ICluster, IClusterNode } from '../../api';
import {
  amount,
  amounts,
  capacityText,
  healthText,
  nodeState,
  placeText,
  quantity
} from '../words';

const trans = nullTranslator.load('perijove');

const capacity: NonNullable<ICluster['capacity']> = {
  cpus: 7.5,
  cpus_free: 2,
  memory_bytes: 32e9,
  memory_free_bytes: 8e9,
  gpus: 0,
  gpus_free: 0,
  disk_free_bytes: null
};

const cluster = (change: Partial<ICluster> = {}) =>
  ({
    id: 'cluster_1',
    kind: 'kubernetes',
    name: 'gpu-1',
    state: 'connected',
    problems: [],
    accelerators: [],
    capacity: null,
    ...change
  }) as unknown as ICluster;

describe('capacityText', () => {
  it('names accelerators first', () => {
    const accelerators = [
      { type: 'H100', resource: 'nvidia.com/gpu', total: 4, used: 3, free: 1 },
      { type: 'tpu-v5', resource: 'google.com/tpu', total: 8, used: 0, free: 8 }
    ];
    expect(capacityText(cluster({ accelerators, capacity }), trans)).toBe(
      '1 of 4 H100 free, 8 of 8 tpu-v5 free'
    );
  });

  it('else processors and memory', () => {
    expect(capacityText(cluster({ capacity }), trans)).toBe('7.5 CPUs · 32.0 GB');
    const one = { ...capacity, cpus: 1, gpus: 2, gpus_free: 1 };
    expect(capacityText(cluster({ capacity: one }), trans)).toBe(
      '1 of 2 GPU free · 1 CPU · 32.0 GB'
    );
  });

  it('says nothing before the first report', () => {
    expect(capacityText(cluster(), trans)).toBe('');
  });
});

describe('healthText', () => {
  it('tells a cluster with problems from one without', () => {
    expect(healthText(cluster(), trans)).toBe('Connected');
    expect(healthText(cluster({ problems: ['no Kueue'] }), trans)).toBe('Has problems');
    expect(healthText(cluster({ state: 'lost', problems: ['no Kueue'] }), trans)).toBe('Lost');
  });
});

describe('placeText', () => {
  it('offers what can be used, and says what cannot yet', () => {
    const local = cluster({ kind: 'local', name: 'local', capacity });
    expect(placeText(local, trans)).toBe('This machine – 7.5 CPUs · 32.0 GB');
    expect(placeText(cluster(), trans)).toBe('gpu-1');
    expect(placeText(cluster({ state: 'lost', capacity }), trans)).toBe('gpu-1 – Lost');
  });
});

describe('quantity', () => {
  it.each([
    ['4', 4],
    ['250m', 0.25],
    ['32Gi', 32 * 2 ** 30],
    ['1.5k', 1500],
    ['12e6', 12e6],
    ['2E', 2e18],
    ['1500000n', 0.0015]
  ])('%p is %p', (text, value) => {
    expect(quantity(text)).toBeCloseTo(value, 9);
  });

  it.each(['', 'Gi', '4 Gi', '4Qi'])('%p is none', text => {
    expect(quantity(text)).toBeNaN();
  });
});

describe('amounts', () => {
  it('shows bytes as sizes and counts as numbers', () => {
    expect(amount('memory', '32780936Ki')).toBe('33.6 GB');
    expect(amount('nvidia.com/gpu', '2')).toBe('2');
    expect(amount('cpu', 'many')).toBe('many');
    const all = { cpu: '8', memory: '32G' };
    expect(amounts(all, null, trans)).toBe('cpu 8, memory 32.0 GB');
    expect(amounts(all, { cpu: '1500m' }, trans)).toBe('cpu 1.5 of 8, memory 0 B of 32.0 GB');
  });
});

describe('nodeState', () => {
  const node = (change: Partial<IClusterNode>) =>
    ({ ready: true, schedulable: true, conditions: [], ...change }) as unknown as IClusterNode;
  const condition = (type: string, status: string, message: string | null = null) => ({
    type,
    status,
    reason: null,
    message
  });

  it('says what a kubelet complains about', () => {
    const conditions = [
      condition('Ready', 'True', 'kubelet is posting ready status'),
      condition('DiskPressure', 'True', 'no disk'),
      condition('PIDPressure', 'Unknown'),
      condition('MemoryPressure', 'False', 'kubelet has sufficient memory available')
    ];
    expect(nodeState(node({ conditions, schedulable: false }), trans)).toBe(
      'Ready, cordoned, no disk, PIDPressure'
    );
    expect(
      nodeState(node({ ready: false, conditions: [condition('Ready', 'False', 'x')] }), trans)
    ).toBe('Not ready, x');
  });
});
