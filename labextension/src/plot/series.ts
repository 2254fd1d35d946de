import { IPoint } from './scale';

/** One line of a plot. Points are ordered by x. */
export interface IPlotSeries {
  readonly id: string;
  readonly label: string;
  readonly points: readonly IPoint[];
}

/**
 * The place in `points` where `x` is or would be inserted.
 */
export function lowerBound(points: readonly IPoint[], x: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle].x < x) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/**
 * The point with the x nearest to the one given, or null without points.
 */
export function nearest(points: readonly IPoint[], x: number): IPoint | null {
  const index = lowerBound(points, x);
  const after = points[index];
  const before = points[index - 1];
  if (!after || !before) {
    return after ?? before ?? null;
  }
  return after.x - x < x - before.x ? after : before;
}

/**
 * Points kept in order of x, one for each x, as live metrics arrive.
 *
 * A training that resumes from a checkpoint reports some steps again; the later
 * report replaces the earlier one. Values that are not finite are left out.
 */
export class LiveSeries {
  /** @param limit - the largest number of points kept; beyond it every second one goes */
  constructor(private readonly limit = 20_000) {}

  /** The points, ordered by x. A new array after every change. */
  get points(): readonly IPoint[] {
    return this.#points;
  }

  /**
   * Add points in any order.
   *
   * @returns whether anything changed
   */
  add(points: readonly IPoint[]): boolean {
    const next = this.#points.slice();
    let changed = false;
    for (const point of points) {
      changed = this.#insert(next, point) || changed;
    }
    if (changed) {
      this.#points =
        next.length > this.limit
          ? next.filter((_, i) => i % 2 === 0 || i === next.length - 1)
          : next;
    }
    return changed;
  }

  #insert(into: IPoint[], point: IPoint): boolean {
    if (!Number.isFinite(point.x) || !Number.isFinite(point.y)) {
      return false;
    }
    const index = lowerBound(into, point.x);
    const there = into[index];
    if (there?.x === point.x) {
      if (there.y === point.y) {
        return false;
      }
      into[index] = point;
    } else {
      into.splice(index, 0, point);
    }
    return true;
  }

  #points: readonly IPoint[] = [];
}
