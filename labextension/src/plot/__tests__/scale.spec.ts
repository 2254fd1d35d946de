import {
  extent,
  formatTick,
  formatValue,
  linearScale,
  niceDomain,
  niceStep,
  ticks,
  widen
} from '../scale';

describe('extent', () => {
  it('ignores values that are not finite', () => {
    expect(extent([NaN, 3, Infinity, -1])).toEqual({ min: -1, max: 3 });
  });

  it('is null when nothing is finite', () => {
    expect(extent([NaN])).toBeNull();
    expect(extent([])).toBeNull();
  });
});

describe('widen', () => {
  it('gives a single value room on both sides', () => {
    expect(widen({ min: 4, max: 4 })).toEqual({ min: 2, max: 6 });
    expect(widen({ min: 0, max: 0 })).toEqual({ min: -1, max: 1 });
  });

  it('leaves a real range alone', () => {
    const domain = { min: 1, max: 2 };
    expect(widen(domain)).toBe(domain);
  });
});

describe('ticks', () => {
  it.each([
    [0.7, 1],
    [1.2, 2],
    [3, 5],
    [7, 10],
    [0.00012, 0.0002]
  ])('rounds a step of %p up to %p', (raw, expected) => {
    expect(niceStep(raw)).toBeCloseTo(expected, 12);
  });

  it('gives round positions inside of the domain', () => {
    expect(ticks({ min: 0.13, max: 0.97 }, 5).values.map(v => +v.toFixed(6))).toEqual([
      0.2, 0.4, 0.6, 0.8
    ]);
  });

  it('never falls between two whole steps', () => {
    expect(ticks({ min: 1, max: 3 }, 10, true).values).toEqual([1, 2, 3]);
  });

  it('survives a domain of one value', () => {
    const { values } = ticks({ min: 2.5, max: 2.5 }, 4);
    expect(values.length).toBeGreaterThan(1);
    expect(values.every(Number.isFinite)).toBe(true);
  });
});

describe('niceDomain', () => {
  it('encloses the data', () => {
    expect(niceDomain({ min: 0.13, max: 0.97 }, 5)).toEqual({ min: 0, max: 1 });
  });
});

describe('linearScale', () => {
  it('maps to pixels in both directions', () => {
    const down = linearScale({ min: 0, max: 10 }, 100, 0);
    expect([0, 5, 10].map(down)).toEqual([100, 50, 0]);
  });

  it('does not divide by zero', () => {
    expect(linearScale({ min: 1, max: 1 }, 0, 10)(1)).toBe(0);
  });
});

describe('formatTick', () => {
  it.each([
    [0, 0.2, '0'],
    [0.25, 0.05, '0.25'],
    [1500, 500, '1500'],
    [0.0002, 0.0001, '2e-4'],
    [0.00015, 0.00005, '1.5e-4'],
    [2e6, 1e6, '2e6']
  ])('%p with step %p reads %p', (value, step, expected) => {
    expect(formatTick(value, step)).toBe(expected);
  });
});

describe('formatValue', () => {
  it.each([
    [12, '12'],
    [1.234567, '1.235'],
    [0.00012345, '1.234e-4'],
    [0.5, '0.5']
  ])('%p reads %p', (value, expected) => {
    expect(formatValue(value)).toBe(expected);
  });
});
