import { TranslationBundle } from '@jupyterlab/translation';

import { Attributes, AttributeValue } from './types';

/** One line of the attribute editor. */
export interface IAttributeRow {
  readonly key: string;
  readonly value: string;
}

const MAX_PAIRS = 16;
const MAX_KEY = 64;
const MAX_VALUE = 512;

/** Lines for the attributes that are there. */
export function toRows(attributes: Attributes | null): IAttributeRow[] {
  return Object.entries(attributes ?? {}).map(([key, value]) => ({
    key,
    value: typeof value === 'string' && typed(value) !== value ? JSON.stringify(value) : `${value}`
  }));
}

/** The attributes that the lines say: numbers, true and false, else text. */
export function fromRows(rows: readonly IAttributeRow[]): Attributes {
  return Object.fromEntries(
    rows.filter(row => row.key.trim() !== '').map(row => [row.key.trim(), typed(row.value)])
  );
}

/** What is wrong with the lines, in words that say what to do, or null. */
export function checkRows(rows: readonly IAttributeRow[], trans: TranslationBundle): string | null {
  const keys = rows.map(row => row.key.trim()).filter(key => key !== '');
  if (rows.some(row => row.key.trim() === '' && row.value.trim() !== '')) {
    return trans.__('Give every value a name.');
  }
  if (new Set(keys).size < keys.length) {
    return trans.__('Use each name once.');
  }
  if (keys.length > MAX_PAIRS) {
    return trans.__('Keep to %1 attributes at most.', MAX_PAIRS);
  }
  if (keys.some(key => key.length > MAX_KEY)) {
    return trans.__('Names take at most %1 characters.', MAX_KEY);
  }
  if (rows.some(row => row.value.length > MAX_VALUE)) {
    return trans.__('Values take at most %1 characters.', MAX_VALUE);
  }
  return null;
}

/** A quoted text stays text: "42" in quotes is not the number. */
function typed(text: string): AttributeValue {
  const trimmed = text.trim();
  if (trimmed === 'true' || trimmed === 'false') {
    return trimmed === 'true';
  }
  if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(trimmed)) {
    return Number(trimmed);
  }
  if (/^".*"$/s.test(trimmed)) {
    try {
      const value: unknown = JSON.parse(trimmed);
      return typeof value === 'string' ? value : text;
    } catch {
      return text;
    }
  }
  return text;
}
