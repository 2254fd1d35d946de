import { layOut, readAt, steps } from '../geometry';
import { stepByKey } from '../LinePlot';
import { tableRows } from '../PlotTable';

const a = {
  id: 'a',
  label: 'Loss',
  points: [
    { x: 1, y: 4 },
    { x: 2, y: 3 },
    { x: 3, y: 2.5 }
  ]
};
const b = { id: 'b', label: 'Other', points: [{ x: 3, y: 1 }] };

describe('layOut', () => {
  it('is null without points', () => {
    expect(layOut([{ ...a, points: [] }], 400, 200)).toBeNull();
  });

  it('puts every point inside of the axes', () => {
    const g = layOut([a, b], 400, 200)!;
    for (const point of [...a.points, ...b.points]) {
      expect(g.x(point.x)).toBeGreaterThanOrEqual(g.left);
      expect(g.x(point.x)).toBeLessThanOrEqual(g.right);
      expect(g.y(point.y)).toBeGreaterThanOrEqual(g.top);
      expect(g.y(point.y)).toBeLessThanOrEqual(g.bottom);
    }
    expect(g.paths).toHaveLength(2);
    expect(g.paths[0]).toMatch(/^M[\d.]+ [\d.]+L/);
  });

  it('goes from pixels back to steps', () => {
    const g = layOut([a], 400, 200)!;
    expect(g.xAt(g.x(2))).toBeCloseTo(2);
  });

  it('labels no tick twice', () => {
    const g = layOut([a], 900, 400)!;
    for (const axis of [g.xTicks, g.yTicks]) {
      expect(new Set(axis.map(tick => tick.label)).size).toBe(axis.length);
    }
  });
});

describe('readings', () => {
  it('reads each series at its own nearest step', () => {
    expect(readAt([a, b], 1.2)).toEqual([
      { id: 'a', label: 'Loss', x: 1, y: 4 },
      { id: 'b', label: 'Other', x: 3, y: 1 }
    ]);
  });

  it('walks over the steps by keyboard', () => {
    const stops = steps([a, b]);
    expect(stops).toEqual([1, 2, 3]);
    expect(stepByKey('ArrowRight', stops, null)).toBe(1);
    expect(stepByKey('ArrowRight', stops, 1)).toBe(2);
    expect(stepByKey('ArrowRight', stops, 3)).toBe(3);
    expect(stepByKey('ArrowLeft', stops, null)).toBe(3);
    expect(stepByKey('ArrowLeft', stops, 1)).toBe(1);
    expect(stepByKey('End', stops, 1)).toBe(3);
    expect(stepByKey('Escape', stops, 1)).toBeNull();
    expect(stepByKey('a', stops, 1)).toBeUndefined();
    expect(stepByKey('ArrowRight', [], null)).toBeUndefined();
  });
});

describe('tableRows', () => {
  it('shows a gap where a series has no value', () => {
    expect(tableRows([a, b])).toEqual([
      { x: 1, values: [4, null] },
      { x: 2, values: [3, null] },
      { x: 3, values: [2.5, 1] }
    ]);
  });
});
