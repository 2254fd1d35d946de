import { caretDownIcon, caretUpIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IColumn, ISort } from './columns';

interface IHeaderProps<T> {
  readonly columns: readonly IColumn<T>[];
  readonly sort: ISort | null;
  readonly onSort: (sort: ISort | null) => void;
}

/** The titles; a click sorts up, the next down, the third puts the platform's order back. */
export function Header<T>(props: IHeaderProps<T>): React.ReactElement {
  return (
    <div className="jp-PerijoveList-header" role="row" aria-rowindex={1}>
      {props.columns.map(column => (
        <div
          key={column.id}
          role="columnheader"
          className={`jp-PerijoveList-cell${column.wide ? ' jp-mod-wide' : ''}${column.align === 'end' ? ' jp-mod-end' : ''}`}
          aria-sort={ariaSort(column.id, props.sort)}
        >
          {column.value ? (
            <button onClick={() => props.onSort(nextSort(column.id, props.sort))} tabIndex={-1}>
              {column.title}
              {props.sort?.column === column.id &&
                (props.sort.descending ? (
                  <caretDownIcon.react tag="span" />
                ) : (
                  <caretUpIcon.react tag="span" />
                ))}
            </button>
          ) : (
            column.title
          )}
        </div>
      ))}
    </div>
  );
}

function nextSort(column: string, sort: ISort | null): ISort | null {
  if (sort?.column !== column) {
    return { column, descending: false };
  }
  return sort.descending ? null : { column, descending: true };
}

function ariaSort(column: string, sort: ISort | null): 'ascending' | 'descending' | 'none' {
  if (sort?.column !== column) {
    return 'none';
  }
  return sort.descending ? 'descending' : 'ascending';
}
