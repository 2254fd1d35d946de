import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IObject } from '../../api';
import { useSignals } from '../useSignals';
import { arrange, IColumn, ISort } from './columns';
import { FilterRow } from './FilterRow';
import { EmptyState, ListFailure, ListProgress } from './ListStates';
import { Header } from './Header';
import { useListKeys } from './keys';
import { showRowMenu } from './menu';
import { ObjectListModel } from './model';
import { IObjectListProps } from './props';
import { beginRowDrag } from './rowDrag';
import { useWindow } from './useWindow';

/** Pixels; the style sheet's `--perijove-row-height` is the same. */
export const ROW_HEIGHT = 26;

/** A list of the platform's objects: filter, sort, pages, selection, keyboard, context menu. */
export function ObjectList<T extends IObject>(props: IObjectListProps<T>): React.ReactElement {
  const { model, columns, choice, trans } = props;
  useSignals(model.changed, model.selection.changed);
  const [filter, setFilter] = React.useState('');
  const [chosen, setChosen] = React.useState(-1);
  const [sort, setSort] = useRememberedSort(props.kind);
  const rows = React.useMemo(() => {
    const accepts = choice?.options[chosen]?.accepts ?? (() => true);
    return arrange(model.items.filter(accepts), columns, filter, sort);
  }, [model.items, columns, choice, chosen, filter, sort]);
  React.useEffect(() => {
    void model.load();
  }, [model]);

  if (model.items.length === 0 && model.state !== 'ready') {
    return model.state === 'failed' ? (
      <ListFailure error={model.error ?? ''} onRetry={() => void model.reload()} trans={trans} />
    ) : (
      <ListProgress trans={trans} />
    );
  }
  if (model.items.length === 0) {
    return <EmptyState {...props.empty} commands={props.commands} />;
  }
  return (
    <div className="jp-PerijoveList" style={tracks(columns)}>
      <FilterRow
        filter={filter}
        onFilter={setFilter}
        label={props.label}
        choice={choice}
        chosen={chosen}
        onChoose={setChosen}
        trans={trans}
      />
      {model.error !== null && (
        <ListFailure error={model.error} onRetry={() => void model.reload()} trans={trans} />
      )}
      <Grid {...props} rows={rows} sort={sort} onSort={setSort} />
      <Footer model={model} shown={rows.length} trans={trans} />
    </div>
  );
}

interface IGridProps<T extends IObject> extends IObjectListProps<T> {
  readonly rows: readonly T[];
  readonly sort: ISort | null;
  readonly onSort: (sort: ISort | null) => void;
}

function Grid<T extends IObject>(props: IGridProps<T>): React.ReactElement {
  const { model, rows } = props;
  const scroller = React.useRef<HTMLDivElement>(null);
  const { first, last } = useWindow(scroller, rows.length, ROW_HEIGHT, () => void model.loadMore());
  const onKeyDown = useListKeys(props, rows, scroller);
  const instance = React.useId();
  const current = rows.findIndex(row => row.id === model.selection.current);
  return (
    <div
      ref={scroller}
      className="jp-PerijoveList-grid"
      role="grid"
      tabIndex={0}
      aria-label={props.label}
      aria-multiselectable
      aria-rowcount={model.hasMore ? -1 : rows.length + 1}
      aria-activedescendant={
        current >= first && current < last ? `${instance}-${current}` : undefined
      }
      onKeyDown={onKeyDown}
    >
      <Header columns={props.columns} sort={props.sort} onSort={props.onSort} />
      <div
        className="jp-PerijoveList-rows"
        role="rowgroup"
        style={{ height: rows.length * ROW_HEIGHT }}
      >
        {rows.slice(first, last).map((item, offset) => (
          <Row
            key={item.id}
            {...props}
            item={item}
            index={first + offset}
            domId={`${instance}-${first + offset}`}
          />
        ))}
      </div>
    </div>
  );
}

interface IRowProps<T extends IObject> extends IGridProps<T> {
  readonly item: T;
  readonly index: number;
  readonly domId: string;
}

function Row<T extends IObject>(props: IRowProps<T>): React.ReactElement {
  const { item, index, model, rows, commands } = props;
  const { selection } = model;
  const onMouseDown = (event: React.MouseEvent<HTMLDivElement>): void => {
    if (
      event.button === 0 &&
      !event.shiftKey &&
      !event.ctrlKey &&
      !event.metaKey &&
      props.snippet
    ) {
      beginRowDrag(event, props.name?.(item) ?? item.id, props.snippet(item));
    }
  };
  const onClick = (event: React.MouseEvent): void => {
    if (event.shiftKey) {
      selection.extend(
        item.id,
        rows.map(row => row.id)
      );
    } else if (event.ctrlKey || event.metaKey) {
      selection.toggle(item.id);
    } else {
      selection.only(item.id);
    }
  };
  const onContextMenu = (event: React.MouseEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    if (!selection.has(item.id)) {
      selection.only(item.id);
    }
    showRowMenu(props, event.clientX, event.clientY);
  };
  return (
    <div
      id={props.domId}
      className={`jp-PerijoveList-row${selection.current === item.id ? ' jp-mod-current' : ''}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selection.has(item.id)}
      data-id={item.id}
      style={{ top: index * ROW_HEIGHT }}
      onMouseDown={onMouseDown}
      onClick={onClick}
      onDoubleClick={() => void commands.execute(props.openCommand, { ids: [item.id] })}
      onContextMenu={onContextMenu}
    >
      {props.columns.map(column => (
        <div
          key={column.id}
          role="gridcell"
          className={`jp-PerijoveList-cell${column.wide ? ' jp-mod-wide' : ''}${column.align === 'end' ? ' jp-mod-end' : ''}`}
        >
          {column.render(item)}
        </div>
      ))}
    </div>
  );
}

function Footer<T extends IObject>(props: {
  readonly model: ObjectListModel<T>;
  readonly shown: number;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { model, shown, trans } = props;
  const selected = model.selection.ids.size;
  return (
    <div className="jp-PerijoveList-footer">
      <span aria-live="polite">
        {selected > 1
          ? trans.__('%1 of %2 selected', selected, model.items.length)
          : shown < model.items.length
            ? trans.__('%1 of %2 shown', shown, model.items.length)
            : model.hasMore
              ? trans.__('%1 read so far', model.items.length)
              : ''}
      </span>
      {model.hasMore && (
        <button
          className="jp-PerijoveLink"
          disabled={model.loadingMore}
          onClick={() => void model.loadMore()}
        >
          {model.loadingMore ? trans.__('Loading…') : trans.__('Load more')}
        </button>
      )}
    </div>
  );
}

/** The sort that a kind of list was last given, kept in the browser. */
function useRememberedSort(kind: string): [ISort | null, (sort: ISort | null) => void] {
  const key = `perijove:sort:${kind}`;
  const [sort, setSort] = React.useState<ISort | null>(() =>
    JSON.parse(window.localStorage.getItem(key) ?? 'null')
  );
  const remember = (next: ISort | null): void => {
    window.localStorage.setItem(key, JSON.stringify(next));
    setSort(next);
  };
  return [sort, remember];
}

function tracks<T>(columns: readonly IColumn<T>[]): React.CSSProperties {
  const join = (some: readonly IColumn<T>[]): string => some.map(column => column.width).join(' ');
  return {
    '--perijove-tracks-wide': join(columns),
    '--perijove-tracks-narrow': join(columns.filter(column => !column.wide))
  } as React.CSSProperties;
}
