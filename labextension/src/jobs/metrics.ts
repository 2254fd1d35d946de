import { IPlotSeries, IPoint, LiveSeries } from '../plot';
import { IJobEvent } from './types';

/** The metrics that are plotted, in the order of their colours. */
const PLOTTED = ['train_loss', 'valid_loss', 'learning_rate'] as const;

/** A metric that is plotted. */
export type Metric = (typeof PLOTTED)[number];

/**
 * The curves of one job, fed by its `metrics` events in any order.
 */
export class JobMetrics {
  /**
   * Take what the events measured.
   *
   * @returns whether any curve changed
   */
  add(events: readonly IJobEvent[]): boolean {
    let changed = false;
    for (const metric of PLOTTED) {
      const points = events.flatMap(event => pointOf(event, metric));
      changed = this.#series[metric].add(points) || changed;
    }
    return changed;
  }

  /** Whether anything was measured. */
  get any(): boolean {
    return PLOTTED.some(metric => this.#series[metric].points.length > 0);
  }

  /** The curve of a metric under the label given. */
  series(metric: Metric, id: string, label: string): IPlotSeries {
    return { id, label, points: this.#series[metric].points };
  }

  readonly #series: Readonly<Record<Metric, LiveSeries>> = {
    train_loss: new LiveSeries(),
    valid_loss: new LiveSeries(),
    learning_rate: new LiveSeries()
  };
}

function pointOf(event: IJobEvent, metric: Metric): IPoint[] {
  const x = event.data?.step;
  const y = event.data?.[metric];
  return event.type === 'metrics' && typeof x === 'number' && typeof y === 'number'
    ? [{ x, y }]
    : [];
}
