import { nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IGeometry, IReading, layOut, readAt, steps } from './geometry';
import { PlotTable } from './PlotTable';
import { formatValue } from './scale';
import { IPlotSeries } from './series';

/** How many line styles the style sheet knows. */
const STYLES = 6;

const DEFAULT_HEIGHT = 220;

/** What a plot is made of. */
export interface ILinePlotProps {
  /** The lines, in a stable order: the order decides on colour and dashes. */
  readonly series: readonly IPlotSeries[];
  /** Names the plot for everybody, and for screen readers in particular. */
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Pixels. */
  readonly height?: number;
  readonly trans?: TranslationBundle;
}

/**
 * A line plot over whole steps with hover and keyboard read-out.
 *
 * Colours come from the theme only; the lines differ by their dashes too.
 */
export function LinePlot(props: ILinePlotProps): JSX.Element {
  const { series, title, xLabel, yLabel, height = DEFAULT_HEIGHT } = props;
  const trans = props.trans ?? nullTranslator.load('perijove');
  const [host, width] = useWidth();
  const [cursor, setCursor] = React.useState<number | null>(null);
  const geometry = React.useMemo(
    () => (width > 0 ? layOut(series, width, height) : null),
    [series, width, height]
  );
  const readings = cursor === null ? [] : readAt(series, cursor);
  const description = describe(series, trans);

  return (
    <figure className="jp-PerijovePlot" ref={host}>
      <figcaption className="jp-PerijovePlot-caption">
        <span className="jp-PerijovePlot-title">{title}</span>
        <Legend series={series} />
      </figcaption>
      {geometry ? (
        <Drawing
          geometry={geometry}
          series={series}
          readings={readings}
          cursor={cursor}
          onCursor={setCursor}
          label={`${title}. ${description}`}
          xLabel={xLabel}
          yLabel={yLabel}
        />
      ) : (
        <div className="jp-PerijovePlot-empty" style={{ height }}>
          {trans.__('No values yet.')}
        </div>
      )}
      <div className="jp-PerijovePlot-readout" aria-live="polite">
        {readings.length > 0 && (
          <span>
            {xLabel} {formatValue(readings[0].x)}
          </span>
        )}
        {readings.map(reading => (
          <span key={reading.id}>
            {reading.label}: <b>{formatValue(reading.y)}</b>
          </span>
        ))}
      </div>
      {geometry && <PlotTable series={series} xLabel={xLabel} trans={trans} />}
    </figure>
  );
}

function Legend(props: { series: readonly IPlotSeries[] }): JSX.Element | null {
  if (props.series.length < 2) {
    return null;
  }
  return (
    <ul className="jp-PerijovePlot-legend">
      {props.series.map((one, index) => (
        <li key={one.id}>
          <svg width="22" height="8" aria-hidden="true">
            <path className={lineClass(index)} d="M0 4H22" />
          </svg>
          {one.label}
        </li>
      ))}
    </ul>
  );
}

interface IDrawingProps {
  readonly geometry: IGeometry;
  readonly series: readonly IPlotSeries[];
  readonly readings: readonly IReading[];
  readonly cursor: number | null;
  readonly onCursor: (x: number | null) => void;
  readonly label: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

function Drawing(props: IDrawingProps): JSX.Element {
  const { geometry: g, series, readings, cursor, onCursor } = props;
  const clip = React.useId();

  const onPointerMove = (event: React.PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const pixel = event.clientX - box.left;
    const inside = pixel >= g.left - 4 && pixel <= g.right + 4;
    onCursor(inside ? nearestStep(series, g.xAt(pixel)) : null);
  };
  const onKeyDown = (event: React.KeyboardEvent<SVGSVGElement>) => {
    const next = stepByKey(event.key, steps(series), cursor);
    if (next !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      onCursor(next);
    }
  };

  return (
    <svg
      className="jp-PerijovePlot-drawing"
      width={g.width}
      height={g.height}
      role="img"
      aria-label={props.label}
      tabIndex={0}
      onPointerMove={onPointerMove}
      onPointerLeave={() => onCursor(null)}
      onKeyDown={onKeyDown}
      onBlur={() => onCursor(null)}
    >
      <clipPath id={clip}>
        <rect x={g.left} y={g.top - 2} width={g.right - g.left + 2} height={g.bottom - g.top + 4} />
      </clipPath>
      <Axes geometry={g} xLabel={props.xLabel} yLabel={props.yLabel} />
      <g clipPath={`url(#${CSS.escape(clip)})`}>
        {g.paths.map((d, index) => (
          <path key={series[index].id} className={lineClass(index)} d={d} />
        ))}
      </g>
      <Marks geometry={g} series={series} readings={readings} />
    </svg>
  );
}

/** Dots for single points and for what is read out. */
function Marks(props: Pick<IDrawingProps, 'geometry' | 'series' | 'readings'>): JSX.Element {
  const { geometry: g, series, readings } = props;
  const indexOf = new Map(series.map((one, index) => [one.id, index]));
  return (
    <g aria-hidden="true">
      {series.map(
        (one, index) =>
          one.points.length === 1 && (
            <circle
              key={one.id}
              className={dotClass(index)}
              cx={g.x(one.points[0].x)}
              cy={g.y(one.points[0].y)}
              r={3}
            />
          )
      )}
      {readings.length > 0 && (
        <line
          className="jp-PerijovePlot-cursor"
          x1={g.x(readings[0].x)}
          x2={g.x(readings[0].x)}
          y1={g.top}
          y2={g.bottom}
        />
      )}
      {readings.map(reading => (
        <circle
          key={reading.id}
          className={dotClass(indexOf.get(reading.id) ?? 0)}
          cx={g.x(reading.x)}
          cy={g.y(reading.y)}
          r={4}
        />
      ))}
    </g>
  );
}

function Axes(props: { geometry: IGeometry; xLabel: string; yLabel: string }): JSX.Element {
  const { geometry: g, xLabel, yLabel } = props;
  return (
    <g className="jp-PerijovePlot-axes" aria-hidden="true">
      {g.yTicks.map(tick => (
        <g key={tick.label}>
          <line x1={g.left} x2={g.right} y1={tick.position} y2={tick.position} />
          <text x={g.left - 6} y={tick.position} dy="0.32em" textAnchor="end">
            {tick.label}
          </text>
        </g>
      ))}
      <line className="jp-mod-base" x1={g.left} x2={g.right} y1={g.bottom} y2={g.bottom} />
      {g.xTicks.map(tick => (
        <text key={tick.label} x={tick.position} y={g.bottom + 15} textAnchor="middle">
          {tick.label}
        </text>
      ))}
      <text className="jp-mod-name" x={(g.left + g.right) / 2} y={g.height - 6} textAnchor="middle">
        {xLabel}
      </text>
      <text
        className="jp-mod-name"
        transform={`translate(12 ${(g.top + g.bottom) / 2}) rotate(-90)`}
        textAnchor="middle"
      >
        {yLabel}
      </text>
    </g>
  );
}

function lineClass(index: number): string {
  return `jp-PerijovePlot-line jp-mod-style${index % STYLES}`;
}

function dotClass(index: number): string {
  return `jp-PerijovePlot-dot jp-mod-style${index % STYLES}`;
}

function nearestStep(series: readonly IPlotSeries[], x: number): number | null {
  const found = readAt(series, x);
  return found.length === 0
    ? null
    : found.reduce((best, one) => (Math.abs(one.x - x) < Math.abs(best.x - x) ? one : best)).x;
}

/** Where a key moves the cursor: null hides it, undefined means "not ours". */
export function stepByKey(
  key: string,
  stops: readonly number[],
  cursor: number | null
): number | null | undefined {
  if (stops.length === 0) {
    return undefined;
  }
  const last = stops.length - 1;
  const at = cursor === null ? -1 : stops.findIndex(stop => stop >= cursor);
  switch (key) {
    case 'ArrowRight':
      return stops[Math.min(last, at + 1)];
    case 'ArrowLeft':
      return stops[at === -1 ? last : Math.max(0, at - 1)];
    case 'Home':
      return stops[0];
    case 'End':
      return stops[last];
    case 'Escape':
      return cursor === null ? undefined : null;
    default:
      return undefined;
  }
}

function describe(series: readonly IPlotSeries[], trans: TranslationBundle): string {
  return series
    .filter(one => one.points.length > 0)
    .map(({ label, points }) =>
      trans.__(
        '%1: from %2 to %3 over %4 values.',
        label,
        formatValue(points[0].y),
        formatValue(points[points.length - 1].y),
        points.length
      )
    )
    .join(' ');
}

/** The width of the host element, followed while it is mounted. */
function useWidth(): [React.RefObject<HTMLElement>, number] {
  const host = React.useRef<HTMLElement>(null);
  const [width, setWidth] = React.useState(0);
  React.useLayoutEffect(() => {
    const element = host.current;
    if (!element) {
      return;
    }
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [host, width];
}
