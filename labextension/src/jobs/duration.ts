/** Seconds of the units that a person may write. */
const UNITS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3_600, d: 86_400 };

/** The seconds of `90 min`, `1 h 30 min` or `2d`; `NaN` when it is no such thing. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*/gy)];
  const read = parts.map(([part]) => part).join('');
  if (parts.length === 0 || read !== text) {
    return NaN;
  }
  return Math.round(parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit], 0));
}

/** Seconds as `parseDuration` reads them. */
export function durationText(seconds: number): string {
  const words: string[] = [];
  let rest = seconds;
  for (const [unit, size] of Object.entries(UNITS).reverse()) {
    const count = Math.floor(rest / size);
    if (count > 0) {
      words.push(`${count} ${unit}`);
      rest -= count * size;
    }
  }
  return words.join(' ');
}
