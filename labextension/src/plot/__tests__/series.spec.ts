import { decimate } from '../decimate';
import { LiveSeries, lowerBound, nearest } from '../series';

const line = (n: number) => Array.from({ length: n }, (_, x) => ({ x, y: Math.sin(x / 40) }));

describe('decimate', () => {
  it('leaves a short line alone', () => {
    const points = line(2000);
    expect(decimate(points)).toBe(points);
  });

  it('thins a long line to the limit and keeps both ends', () => {
    const points = line(50_000);
    const kept = decimate(points, 500);
    expect(kept).toHaveLength(500);
    expect(kept[0]).toBe(points[0]);
    expect(kept[499]).toBe(points[49_999]);
  });

  it('keeps the order of x and only points of the line', () => {
    const points = line(10_001);
    const kept = decimate(points, 77);
    const all = new Set(points);
    expect(kept.every(point => all.has(point))).toBe(true);
    for (let i = 1; i < kept.length; i++) {
      expect(kept[i].x).toBeGreaterThan(kept[i - 1].x);
    }
  });

  it('keeps a single spike', () => {
    const points = Array.from({ length: 5000 }, (_, x) => ({
      x,
      y: x === 1234 ? 100 : 0
    }));
    expect(decimate(points, 50).some(point => point.y === 100)).toBe(true);
  });
});

describe('nearest', () => {
  const points = [0, 10, 20].map(x => ({ x, y: x }));

  it('finds the closer neighbour', () => {
    expect(nearest(points, 14)?.x).toBe(10);
    expect(nearest(points, 16)?.x).toBe(20);
    expect(nearest(points, -5)?.x).toBe(0);
    expect(nearest(points, 99)?.x).toBe(20);
    expect(nearest([], 1)).toBeNull();
  });

  it('agrees with a plain search for the insertion place', () => {
    for (let x = -1; x < 22; x++) {
      const plain = points.filter(point => point.x < x).length;
      expect(lowerBound(points, x)).toBe(plain);
    }
  });
});

describe('LiveSeries', () => {
  it('orders points and lets a repeated step win', () => {
    const series = new LiveSeries();
    series.add([
      { x: 2, y: 2 },
      { x: 1, y: 1 }
    ]);
    series.add([{ x: 2, y: 5 }]);
    expect(series.points).toEqual([
      { x: 1, y: 1 },
      { x: 2, y: 5 }
    ]);
  });

  it('says whether anything changed and makes a new array only then', () => {
    const series = new LiveSeries();
    expect(series.add([{ x: 1, y: 1 }])).toBe(true);
    const before = series.points;
    expect(series.add([{ x: 1, y: 1 }])).toBe(false);
    expect(series.add([{ x: 2, y: NaN }])).toBe(false);
    expect(series.points).toBe(before);
  });

  it('stays below its limit and keeps the newest point', () => {
    const series = new LiveSeries(100);
    for (let x = 0; x < 1000; x++) {
      series.add([{ x, y: x }]);
    }
    expect(series.points.length).toBeLessThanOrEqual(100);
    expect(series.points[series.points.length - 1].x).toBe(999);
    expect(series.points[0].x).toBe(0);
  });
});
