import { decimate } from './decimate';
import { extent, formatTick, IDomain, linearScale, niceDomain, Scale, ticks, widen } from './scale';
import { IPlotSeries, nearest } from './series';

const MARGIN = { top: 10, right: 14, bottom: 38, left: 58 };

/** A labelled position on an axis, in pixels. */
export interface IAxisTick {
  readonly position: number;
  readonly label: string;
}

/** Everything that the drawing needs, in pixels. */
export interface IGeometry {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly x: Scale;
  readonly y: Scale;
  /** From pixels back to data units. */
  readonly xAt: (pixel: number) => number;
  readonly xTicks: readonly IAxisTick[];
  readonly yTicks: readonly IAxisTick[];
  /** One SVG path for each series, in their order. */
  readonly paths: readonly string[];
}

function axis(domain: IDomain, scale: Scale, count: number, whole: boolean) {
  const { step, values } = ticks(domain, count, whole);
  return values.map(value => ({
    position: scale(value),
    label: formatTick(value, step)
  }));
}

function path(series: IPlotSeries, x: Scale, y: Scale): string {
  return decimate(series.points)
    .map((point, index) => {
      const command = index === 0 ? 'M' : 'L';
      return `${command}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`;
    })
    .join('');
}

/**
 * Lay the series out in a box, or null when they hold no point.
 *
 * @param width - of the whole drawing, pixels
 * @param height - of the whole drawing, pixels
 */
export function layOut(
  series: readonly IPlotSeries[],
  width: number,
  height: number
): IGeometry | null {
  const points = series.flatMap(one => one.points as IPlotSeries['points']);
  const xExtent = extent(points.map(point => point.x));
  const yExtent = extent(points.map(point => point.y));
  if (!xExtent || !yExtent) {
    return null;
  }
  const left = MARGIN.left;
  const right = Math.max(left + 40, width - MARGIN.right);
  const top = MARGIN.top;
  const bottom = Math.max(top + 40, height - MARGIN.bottom);
  const yCount = Math.max(2, Math.round((bottom - top) / 40));
  const xCount = Math.max(2, Math.round((right - left) / 80));
  const xDomain = widen(xExtent);
  const yDomain = niceDomain(yExtent, yCount);
  const x = linearScale(xDomain, left, right);
  const y = linearScale(yDomain, bottom, top);
  return {
    width,
    height,
    left,
    right,
    top,
    bottom,
    x,
    y,
    xAt: linearScale({ min: left, max: right }, xDomain.min, xDomain.max),
    xTicks: axis(xDomain, x, xCount, true),
    yTicks: axis(yDomain, y, yCount, false),
    paths: series.map(one => path(one, x, y))
  };
}

/** The value of one series at the step that is read out. */
export interface IReading {
  readonly id: string;
  readonly label: string;
  readonly x: number;
  readonly y: number;
}

/**
 * What each series says nearest to `x`.
 */
export function readAt(series: readonly IPlotSeries[], x: number): readonly IReading[] {
  return series.flatMap(({ id, label, points }) => {
    const point = nearest(points, x);
    return point ? [{ id, label, ...point }] : [];
  });
}

/**
 * The steps at which the keyboard stops, ordered, without repetition.
 */
export function steps(series: readonly IPlotSeries[]): readonly number[] {
  const all = new Set<number>();
  for (const { points } of series) {
    for (const point of decimate(points, 500)) {
      all.add(point.x);
    }
  }
  return [...all].sort((a, b) => a - b);
}
