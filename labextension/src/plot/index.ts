export { ILinePlotProps, LinePlot } from './LinePlot';
export { IPoint } from './scale';
export { IPlotSeries, LiveSeries } from './series';
