import * as React from 'react';

import { IObject } from '../../api';
import { showRowMenu } from './menu';
import { IObjectListProps } from './props';

/** Letters typed within this time belong to one word, in ms. */
const TYPE_AHEAD = 800;

/** The keyboard of a list: arrows, Home, End, Enter, Delete, Escape, Ctrl+A, the menu key and type-ahead. */
export function useListKeys<T extends IObject>(
  props: IObjectListProps<T>,
  rows: readonly T[],
  scroller: React.RefObject<HTMLDivElement>
): (event: React.KeyboardEvent) => void {
  const typed = React.useRef({ word: '', at: 0 });
  const { selection } = props.model;
  const order = rows.map(row => row.id);
  const current = selection.current === null ? -1 : order.indexOf(selection.current);

  const go = (index: number, extend: boolean): void => {
    const target = Math.max(0, Math.min(order.length - 1, index));
    if (extend) {
      selection.extend(order[target], order);
    } else {
      selection.only(order[target]);
    }
    reveal(scroller.current, target);
  };
  const typeAhead = (key: string): boolean => {
    const since = Date.now() - typed.current.at;
    const word = (since < TYPE_AHEAD ? typed.current.word : '') + key.toLocaleLowerCase();
    typed.current = { word, at: Date.now() };
    const from = word.length === 1 ? current + 1 : Math.max(0, current);
    const name = props.name ?? ((item: T) => item.id);
    for (let step = 0; step < rows.length; step++) {
      const index = (from + step) % rows.length;
      if (name(rows[index]).toLocaleLowerCase().startsWith(word)) {
        go(index, false);
        break;
      }
    }
    return true;
  };
  const ids = [...selection.ids];

  const act = (event: React.KeyboardEvent): boolean => {
    const command = event.ctrlKey || event.metaKey;
    switch (event.key) {
      case 'ArrowDown':
        go(current + 1, event.shiftKey);
        return true;
      case 'ArrowUp':
        go(current - 1, event.shiftKey);
        return true;
      case 'PageDown':
        go(current + 10, event.shiftKey);
        return true;
      case 'PageUp':
        go(current - 10, event.shiftKey);
        return true;
      case 'Home':
        go(0, event.shiftKey);
        return true;
      case 'End':
        go(order.length - 1, event.shiftKey);
        return true;
      case 'Enter':
        if (current >= 0) {
          void props.commands.execute(props.openCommand, { ids: [order[current]] });
        }
        return true;
      case 'Delete':
        if (ids.length > 0 && props.deleteCommand) {
          void props.commands.execute(props.deleteCommand, { ids });
        }
        return true;
      case 'Escape':
        selection.clear();
        return true;
      case 'ContextMenu':
        openMenuAtRow(props, scroller.current);
        return true;
      case 'F10':
        if (event.shiftKey) {
          openMenuAtRow(props, scroller.current);
        }
        return event.shiftKey;
      case 'a':
        if (command) {
          selection.all(order);
          return true;
        }
    }
    const letter = event.key.length === 1 && event.key !== ' ' && !command && !event.altKey;
    return letter && typeAhead(event.key);
  };

  return event => {
    if (rows.length > 0 && event.target === event.currentTarget && act(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
}

function openMenuAtRow<T extends IObject>(
  props: IObjectListProps<T>,
  scroller: HTMLDivElement | null
): void {
  const row = scroller?.querySelector('.jp-mod-current');
  if (row) {
    const box = row.getBoundingClientRect();
    showRowMenu(props, box.left + 16, box.bottom);
  }
}

/** Scroll so that a row, which need not be rendered yet, is in view. */
function reveal(scroller: HTMLDivElement | null, index: number): void {
  const rows = scroller?.querySelector<HTMLElement>('.jp-PerijoveList-rows');
  const height = rows && rows.children.length > 0 ? rows.children[0].clientHeight : 0;
  if (!scroller || !rows || height === 0) {
    return;
  }
  const top = index * height;
  const header = rows.offsetTop;
  if (top < scroller.scrollTop) {
    scroller.scrollTop = top;
  } else if (top + height + header > scroller.scrollTop + scroller.clientHeight) {
    scroller.scrollTop = top + height + header - scroller.clientHeight;
  }
}
