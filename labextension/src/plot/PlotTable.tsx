import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { decimate } from './decimate';
import { formatValue } from './scale';
import { IPlotSeries, lowerBound } from './series';

/** A table longer than this helps nobody; it is thinned like the line is. */
const MAX_ROWS = 200;

/** One row: a step, and what each series says at exactly that step. */
export interface ITableRow {
  readonly x: number;
  readonly values: readonly (number | null)[];
}

/**
 * The points of all series side by side, ordered by step.
 */
export function tableRows(series: readonly IPlotSeries[], limit = MAX_ROWS): readonly ITableRow[] {
  const xs = new Set<number>();
  for (const { points } of series) {
    for (const point of decimate(points, limit)) {
      xs.add(point.x);
    }
  }
  return [...xs]
    .sort((a, b) => a - b)
    .map(x => ({
      x,
      values: series.map(({ points }) => {
        const point = points[lowerBound(points, x)];
        return point?.x === x ? point.y : null;
      })
    }));
}

/**
 * The same data as text, for those who cannot or do not want to see the plot.
 */
export function PlotTable(props: {
  series: readonly IPlotSeries[];
  xLabel: string;
  trans: TranslationBundle;
}): JSX.Element {
  const { series, xLabel, trans } = props;
  const [open, setOpen] = React.useState(false);
  return (
    <details className="jp-PerijovePlot-data" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>{trans.__('Values as a table')}</summary>
      {open && (
        <div className="jp-PerijovePlot-scroll" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{xLabel}</th>
                {series.map(one => (
                  <th scope="col" key={one.id}>
                    {one.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {tableRows(series).map(row => (
                <tr key={row.x}>
                  <th scope="row">{formatValue(row.x)}</th>
                  {row.values.map((value, index) => (
                    <td key={series[index].id}>{value === null ? '–' : formatValue(value)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
