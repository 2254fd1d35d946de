import '../../../style/views.js';

import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { IObject } from '../../api';
import { ISnippets } from '../snippets';
import { ObjectList } from './ObjectList';
import { IObjectListProps } from './props';

/** A list that fills a section of the side bar; its rows leave the code of their kind in a notebook. */
export function createListSection<T extends IObject>(
  list: Omit<IObjectListProps<T>, 'snippet'>,
  snippets: ISnippets
): Widget {
  return asSection(<ObjectList {...list} snippet={item => snippets.text(list.kind, item.id)} />);
}

/** Let content fill a section of the side bar. */
export function asSection(content: React.ReactElement): Widget {
  const widget = ReactWidget.create(content);
  widget.addClass('jp-PerijoveSection-content');
  return widget;
}
