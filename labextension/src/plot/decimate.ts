import { IPoint } from './scale';

/** Above this number of points a line is thinned before it is drawn. */
export const MAX_DRAWN_POINTS = 2000;

/**
 * Thin a line to `limit` points while keeping its visible shape.
 *
 * Largest-Triangle-Three-Buckets (S. Steinarsson, "Downsampling Time Series
 * for Visual Representation", 2013): the first and the last point stay, and
 * every bucket in between keeps the point that spans the largest triangle with
 * the point kept before it and the mean of the next bucket.
 *
 * @param points - ordered by x, finite
 * @param limit - at least 3
 */
export function decimate(points: readonly IPoint[], limit = MAX_DRAWN_POINTS): readonly IPoint[] {
  if (points.length <= limit) {
    return points;
  }
  const width = (points.length - 2) / (limit - 2);
  const kept: IPoint[] = [points[0]];
  let previous = points[0];
  for (let bucket = 0; bucket < limit - 2; bucket++) {
    const start = Math.floor(bucket * width) + 1;
    const end = Math.floor((bucket + 1) * width) + 1;
    const afterEnd = Math.min(Math.floor((bucket + 2) * width) + 1, points.length);
    const mean = average(points, end, Math.max(afterEnd, end + 1));
    previous = largestTriangle(points, start, end, previous, mean);
    kept.push(previous);
  }
  kept.push(points[points.length - 1]);
  return kept;
}

function average(points: readonly IPoint[], start: number, end: number): IPoint {
  let x = 0;
  let y = 0;
  for (let index = start; index < end; index++) {
    x += points[index].x;
    y += points[index].y;
  }
  return { x: x / (end - start), y: y / (end - start) };
}

function largestTriangle(
  points: readonly IPoint[],
  start: number,
  end: number,
  a: IPoint,
  c: IPoint
): IPoint {
  let best = points[start];
  let bestArea = -1;
  for (let index = start; index < end; index++) {
    const b = points[index];
    const area = Math.abs((a.x - c.x) * (b.y - a.y) - (a.x - b.x) * (c.y - a.y));
    if (area > bestArea) {
      bestArea = area;
      best = b;
    }
  }
  return best;
}
