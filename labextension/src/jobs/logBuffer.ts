/** The most lines that a log tab holds. */
export const MAX_LINES = 10_000;

/** The most characters of one line; the rest of it is left out. */
const MAX_LINE_LENGTH = 4_000;

/**
 * The end of a log, as it arrives in arbitrary pieces, within bounds.
 *
 * A carriage return starts its line again, as a terminal shows progress bars.
 */
export class LogBuffer {
  constructor(private readonly _limit = MAX_LINES) {}

  /** Complete lines and the one that is being written. A new array after each change. */
  get lines(): readonly string[] {
    return this._open === '' ? this._lines : [...this._lines, shown(this._open)];
  }

  /** The lines that have ended. */
  get complete(): readonly string[] {
    return this._lines;
  }

  /** How many lines went out at the top because of the limit. */
  get dropped(): number {
    return this._dropped;
  }

  push(text: string): void {
    const parts = (this._open + text.replace(/\r\n/g, '\n')).split('\n');
    const open = parts.pop() ?? '';
    // What a terminal would have overwritten need not be kept.
    this._open = open.slice(-2 * MAX_LINE_LENGTH);
    const lines = this._lines.concat(parts.map(shown));
    const excess = Math.max(0, lines.length - this._limit);
    this._dropped += excess;
    this._lines = excess > 0 ? lines.slice(excess) : lines;
  }

  private _lines: readonly string[] = [];
  private _open = '';
  private _dropped = 0;
}

function shown(line: string): string {
  const written = line.replace(/\r+$/, '');
  return written.slice(written.lastIndexOf('\r') + 1).slice(0, MAX_LINE_LENGTH);
}

/**
 * Where `held` lies in `lines`, which may begin earlier and end later; -1 when it is not all there.
 *
 * The first of `held` may be the end of a line only.
 */
export function placeOf(held: readonly string[], lines: readonly string[]): number {
  for (let at = lines.length - held.length; at >= 0; at--) {
    if (held.every((line, i) => (i === 0 ? lines[at].endsWith(line) : lines[at + i] === line))) {
      return at;
    }
  }
  return -1;
}

/** Where a search finds something: line index, and from where in the line. */
export interface IMatch {
  readonly line: number;
  readonly start: number;
}

/**
 * Every place where `query` stands, without regard to case, up to `limit`.
 */
export function findAll(lines: readonly string[], query: string, limit = 1000): readonly IMatch[] {
  const needle = query.toLowerCase();
  const matches: IMatch[] = [];
  if (needle === '') {
    return matches;
  }
  for (let line = 0; line < lines.length; line++) {
    const text = lines[line].toLowerCase();
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
      matches.push({ line, start: at });
      if (matches.length >= limit) {
        return matches;
      }
    }
  }
  return matches;
}
