/** A point of a series in data units. */
export interface IPoint {
  readonly x: number;
  readonly y: number;
}

/** An inclusive range of data values. */
export interface IDomain {
  readonly min: number;
  readonly max: number;
}

/** Maps data units to pixels. */
export type Scale = (value: number) => number;

/**
 * The smallest and largest finite value, or null when there is none.
 */
export function extent(values: Iterable<number>): IDomain | null {
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) {
      continue;
    }
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return min <= max ? { min, max } : null;
}

/**
 * A domain that has a width: a single value is given room on both sides.
 */
export function widen(domain: IDomain): IDomain {
  if (domain.min < domain.max) {
    return domain;
  }
  const room = domain.min === 0 ? 1 : Math.abs(domain.min) * 0.5;
  return { min: domain.min - room, max: domain.max + room };
}

/**
 * The largest of 1, 2 or 5 times a power of ten that is not far above `raw`.
 */
export function niceStep(raw: number): number {
  const power = Math.pow(10, Math.floor(Math.log10(raw)));
  const fraction = raw / power;
  const factor = fraction <= 1 ? 1 : fraction <= 2 ? 2 : fraction <= 5 ? 5 : 10;
  return factor * power;
}

/** Tick positions and the distance between two of them. */
export interface ITicks {
  readonly step: number;
  readonly values: readonly number[];
}

/**
 * About `count` round tick positions inside of the domain.
 *
 * @param wholeNumbers - never put a tick between two integers (steps, tokens)
 */
export function ticks(domain: IDomain, count: number, wholeNumbers = false): ITicks {
  const wide = widen(domain);
  let step = niceStep((wide.max - wide.min) / Math.max(1, count));
  if (wholeNumbers) {
    step = Math.max(1, step);
  }
  const values: number[] = [];
  const first = Math.ceil(wide.min / step - 1e-9);
  const last = Math.floor(wide.max / step + 1e-9);
  for (let index = first; index <= last; index++) {
    // Multiplying once keeps 0.1 + 0.2 out of the labels.
    values.push(index === 0 ? 0 : index * step);
  }
  return { step, values };
}

/**
 * The domain grown to the ticks that enclose it.
 */
export function niceDomain(domain: IDomain, count: number): IDomain {
  const wide = widen(domain);
  const step = niceStep((wide.max - wide.min) / Math.max(1, count));
  return {
    min: Math.floor(wide.min / step + 1e-9) * step,
    max: Math.ceil(wide.max / step - 1e-9) * step
  };
}

/**
 * A linear map of the domain to the pixels from `start` to `end`.
 */
export function linearScale(domain: IDomain, start: number, end: number): Scale {
  const width = domain.max - domain.min || 1;
  return value => start + ((value - domain.min) / width) * (end - start);
}

/**
 * A tick label with just the digits that its step needs: 0.25, 1500, 2e-4.
 */
export function formatTick(value: number, step: number): string {
  if (value === 0) {
    return '0';
  }
  const magnitude = Math.abs(value);
  if (step < 1e-3 || magnitude >= 1e6) {
    const digits = Math.max(
      0,
      Math.floor(Math.log10(magnitude) + 1e-9) - Math.floor(Math.log10(step) + 1e-9)
    );
    return value.toExponential(Math.min(digits, 6)).replace('e+', 'e');
  }
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return value.toFixed(decimals);
}

/**
 * A value for the read-out: four significant digits.
 */
export function formatValue(value: number): string {
  if (value === 0 || Number.isInteger(value)) {
    return String(value);
  }
  const magnitude = Math.abs(value);
  return magnitude < 1e-3 || magnitude >= 1e6
    ? value.toExponential(3).replace('e+', 'e')
    : Number(value.toPrecision(4)).toString();
}
