import { IPreviewLine } from '../api';

/** How the lines of a file are shown. */
export type FileFormat = 'jsonl' | 'csv' | 'text';

/** Cells of one line; `broken` when the line is not what the format says. */
export interface IPreviewRow {
  /** 1 is the first line of the file. */
  readonly line: number;
  readonly cells: readonly string[];
  readonly broken: boolean;
}

export interface IPreviewTable {
  /** Empty for text. */
  readonly columns: readonly string[];
  readonly rows: readonly IPreviewRow[];
}

/** The most columns that a table shows; what is over them stays in the text view. */
const MAX_COLUMNS = 20;

export function formatOf(filename: string): FileFormat {
  const ending = filename.toLocaleLowerCase().split('.').pop();
  if (ending === 'jsonl' || ending === 'ndjson') {
    return 'jsonl';
  }
  return ending === 'csv' || ending === 'tsv' ? 'csv' : 'text';
}

/** Lines of text. */
export function textRows(lines: readonly IPreviewLine[]): IPreviewTable {
  return {
    columns: [],
    rows: lines.map(line => ({ line: line.number, cells: [shown(line)], broken: false }))
  };
}

/** JSON lines with a column for every key, in the order of their first use. */
export function jsonRows(lines: readonly IPreviewLine[]): IPreviewTable {
  const parsed = lines.map(line => parseObject(line.text));
  const keys = [...new Set(parsed.flatMap(object => Object.keys(object ?? {})))].slice(
    0,
    MAX_COLUMNS
  );
  const rows = lines.map((line, index) => {
    const object = parsed[index];
    return {
      line: line.number,
      cells: object ? keys.map(key => cellText(object[key])) : [shown(line)],
      broken: object === null && !line.truncated && line.text.trim() !== ''
    };
  });
  return { columns: keys, rows };
}

/** Lines of CSV (RFC 4180, one record a line) under the header that the file's first line is. */
export function csvRows(
  lines: readonly IPreviewLine[],
  header: string,
  separator: string
): IPreviewTable {
  const columns = splitRecord(header, separator);
  const rows = lines
    .filter(line => line.number > 1)
    .map(line => {
      const cells = splitRecord(line.text, separator);
      return {
        line: line.number,
        cells: cells.slice(0, MAX_COLUMNS),
        broken: cells.length > columns.length
      };
    });
  return { columns: columns.slice(0, MAX_COLUMNS), rows };
}

function shown(line: IPreviewLine): string {
  return line.truncated ? `${line.text}…` : line.text;
}

/** The fields of one record; quotes may hold the separator, and a doubled quote is one. */
export function splitRecord(text: string, separator: string): string[] {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (quoted && char === '"' && text[at + 1] === '"') {
      field += '"';
      at += 1;
    } else if (char === '"' && (quoted || field === '')) {
      quoted = !quoted;
    } else if (char === separator && !quoted) {
      fields.push(field);
      field = '';
    } else {
      field += char;
    }
  }
  fields.push(field);
  return fields;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** A value for reading; a conversation as its turns. */
function cellText(value: unknown): string {
  if (value === undefined) {
    return '';
  }
  if (typeof value === 'string') {
    return value;
  }
  if (Array.isArray(value) && value.every(isTurn)) {
    return value.map(turn => `${turn.role}: ${turn.content}`).join('\n');
  }
  return JSON.stringify(value);
}

function isTurn(value: unknown): value is { role: string; content: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { role?: unknown }).role === 'string' &&
    typeof (value as { content?: unknown }).content === 'string'
  );
}
