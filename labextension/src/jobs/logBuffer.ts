/** The most lines that a log tab holds. */
export const MAX_LINES = 10_000;

/** The most characters that a log tab holds; one line may go beyond. */
export const MAX_CHARACTERS = 6_000_000;

/** The most characters of one line that are held: more than the platform keeps of a line of a cluster's job. */
export const MAX_LINE_LENGTH = 128 * 1024;

/**
 * The end of a log, as it arrives in arbitrary pieces, within bounds.
 *
 * A carriage return starts its line again, as a terminal shows progress bars.
 */
export class LogBuffer {
  readonly #maxLines: number;
  readonly #maxCharacters: number;

  constructor(maxLines = MAX_LINES, maxCharacters = MAX_CHARACTERS) {
    this.#maxLines = maxLines;
    this.#maxCharacters = maxCharacters;
  }

  /** Complete lines and the one that is being written. A new array after each change. */
  get lines(): readonly string[] {
    return this.#open.text === '' ? this.#lines : [...this.#lines, this.#open.text];
  }

  /** The lines that have ended. */
  get complete(): readonly string[] {
    return this.#lines;
  }

  /** How many lines went out at the top because of the limits. */
  get dropped(): number {
    return this.#dropped;
  }

  push(text: string): void {
    const parts = text.split('\n');
    const added: string[] = [];
    for (const [index, part] of parts.entries()) {
      this.#open.add(part);
      if (index < parts.length - 1) {
        added.push(this.#open.text);
        this.#open = new OpenLine();
      }
    }
    if (added.length > 0) {
      this.#append(added);
    }
  }

  #append(added: readonly string[]): void {
    const lines = this.#lines.concat(added);
    this.#characters += added.reduce((sum, line) => sum + line.length, 0);
    let excess = Math.max(0, lines.length - this.#maxLines);
    for (let index = 0; index < excess; index++) {
      this.#characters -= lines[index].length;
    }
    while (this.#characters > this.#maxCharacters && excess < lines.length - 1) {
      this.#characters -= lines[excess].length;
      excess += 1;
    }
    this.#dropped += excess;
    this.#lines = excess > 0 ? lines.slice(excess) : lines;
  }

  #characters = 0;
  #dropped = 0;
  #lines: readonly string[] = [];
  #open = new OpenLine();
}

/** A line that is being written, as a terminal would show it. */
class OpenLine {
  get text(): string {
    return this.#text;
  }

  add(part: string): void {
    for (const [index, written] of part.split('\r').entries()) {
      this.#returned ||= index > 0;
      if (written !== '') {
        const before = this.#returned ? '' : this.#text;
        this.#text = before + written.slice(0, Math.max(0, MAX_LINE_LENGTH - before.length));
        this.#returned = false;
      }
    }
  }

  #returned = false;
  #text = '';
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

/** The most places of a search that are counted. */
export const MAX_MATCHES = 1000;

/**
 * Every place where `query` stands, without regard to case, up to `limit`.
 */
export function findAll(
  lines: readonly string[],
  query: string,
  limit = MAX_MATCHES
): readonly IMatch[] {
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

/** The first match at or behind a place, else the last one; without a place the first, and -1 when there is none. */
export function matchFrom(matches: readonly IMatch[], place: IMatch | null): number {
  if (place === null) {
    return Math.min(0, matches.length - 1);
  }
  const index = matches.findIndex(
    ({ line, start }) => line > place.line || (line === place.line && start >= place.start)
  );
  return index < 0 ? matches.length - 1 : index;
}

/** The beginning of another attempt of the same job, as the platform writes it into the log. */
const ATTEMPT = /^\[perijove\] attempt (\d+)/;

/** An attempt of which the log has the beginning. */
export interface IAttempt {
  readonly attempt: number;
  /** Its first line's index. */
  readonly line: number;
}

/** Where attempts begin; the first of a job has no line of its own. */
export function findAttempts(lines: readonly string[]): readonly IAttempt[] {
  return lines.flatMap((text, line) => {
    const attempt = attemptOf(text);
    return attempt === null ? [] : [{ attempt, line }];
  });
}

/** The attempt that a line begins, or null. */
export function attemptOf(line: string): number | null {
  const number = ATTEMPT.exec(line)?.[1];
  return number === undefined ? null : Number(number);
}
