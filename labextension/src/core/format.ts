import { TranslationBundle } from '@jupyterlab/translation';

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in decimal units, as disks are sold: `1.5 MB`. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) {
    return '–';
  }
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

/** A count in short: `135 M`. */
export function formatCount(count: number | null | undefined): string {
  if (count === null || count === undefined) {
    return '–';
  }
  const units: [number, string][] = [
    [1e9, ' B'],
    [1e6, ' M'],
    [1e4, ' k']
  ];
  for (const [size, unit] of units) {
    if (count >= size) {
      const scaled = count / (size === 1e4 ? 1e3 : size);
      return scaled.toFixed(scaled >= 10 ? 0 : 1) + unit;
    }
  }
  return String(count);
}

/** Seconds in the two largest units: `1 h 5 min`, `42 s`. */
export function formatDuration(seconds: number, trans: TranslationBundle): string {
  const whole = Math.max(0, Math.round(seconds));
  const days = Math.floor(whole / 86_400);
  const hours = Math.floor((whole % 86_400) / 3_600);
  const minutes = Math.floor((whole % 3_600) / 60);
  if (days > 0) {
    return trans.__('%1 d %2 h', days, hours);
  }
  if (hours > 0) {
    return trans.__('%1 h %2 min', hours, minutes);
  }
  if (minutes > 0) {
    return trans.__('%1 min %2 s', minutes, whole % 60);
  }
  return trans.__('%1 s', whole);
}

/** How long ago (or how soon) a moment is. @param at seconds since 1970 @param now milliseconds since 1970 */
export function formatRelative(at: number, now: number, locale?: string): string {
  const seconds = at - now / 1000;
  const distance = Math.abs(seconds);
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });
  if (distance < 45) {
    return format.format(0, 'second');
  }
  if (distance < 45 * 60) {
    return format.format(Math.round(seconds / 60), 'minute');
  }
  if (distance < 22 * 3_600) {
    return format.format(Math.round(seconds / 3_600), 'hour');
  }
  if (distance < 26 * 86_400) {
    return format.format(Math.round(seconds / 86_400), 'day');
  }
  if (distance < 320 * 86_400) {
    return format.format(Math.round(seconds / (30.4 * 86_400)), 'month');
  }
  return format.format(Math.round(seconds / (365.25 * 86_400)), 'year');
}

/** Date and time in full. @param at seconds since 1970 */
export function formatAbsolute(at: number): string {
  return new Date(at * 1000).toLocaleString();
}
