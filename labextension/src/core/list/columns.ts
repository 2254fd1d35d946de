import * as React from 'react';

import { IObject } from '../../api';

/** One column of a list. */
export interface IColumn<T> {
  readonly id: string;
  readonly title: string;
  readonly render: (item: T) => React.ReactNode;
  /** What the column sorts and filters by; a column without is not sortable. */
  readonly value?: (item: T) => string | number;
  /** A CSS grid track, e.g. `minmax(80px, 1fr)` or `64px`. */
  readonly width: string;
  /** Left out in a narrow panel. */
  readonly wide?: boolean;
  readonly align?: 'end';
}

export interface ISort {
  readonly column: string;
  readonly descending: boolean;
}

/** The rows to show: those that have every word of the filter, in the order of the sort (or as they came). */
export function arrange<T extends IObject>(
  items: readonly T[],
  columns: readonly IColumn<T>[],
  filter: string,
  sort: ISort | null
): readonly T[] {
  const words = filter.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const shown = words.length === 0 ? items : items.filter(item => matches(item, columns, words));
  const value = columns.find(column => column.id === sort?.column)?.value;
  if (!sort || !value) {
    return shown;
  }
  const direction = sort.descending ? -1 : 1;
  return [...shown].sort((a, b) => direction * compare(value(a), value(b)));
}

function matches<T extends IObject>(
  item: T,
  columns: readonly IColumn<T>[],
  words: readonly string[]
): boolean {
  const texts = columns
    .map(column => column.value?.(item))
    .filter(text => typeof text === 'string');
  const text = [item.id, ...texts].join('\n').toLocaleLowerCase();
  return words.every(word => text.includes(word));
}

function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number'
    ? a - b
    : String(a).localeCompare(String(b), undefined, { numeric: true, sensitivity: 'base' });
}
