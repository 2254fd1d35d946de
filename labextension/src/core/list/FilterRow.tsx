import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

/** A choice of some of a list's rows. */
export interface IChoice<T> {
  /** What a screen reader calls it. */
  readonly label: string;
  /** What chooses every row. */
  readonly all: string;
  readonly options: readonly {
    readonly label: string;
    readonly accepts: (item: T) => boolean;
  }[];
}

/** What narrows a list: words, and a choice where the list has one. */
export function FilterRow<T>(props: {
  readonly filter: string;
  readonly onFilter: (filter: string) => void;
  /** What the list is called. */
  readonly label: string;
  readonly choice: IChoice<T> | undefined;
  /** Which option is chosen, -1 for all. */
  readonly chosen: number;
  readonly onChoose: (option: number) => void;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { filter, onFilter, choice, trans } = props;
  return (
    <div className="jp-PerijoveList-narrow">
      <input
        className="jp-PerijoveList-filter jp-mod-styled"
        type="search"
        value={filter}
        placeholder={trans.__('Filter')}
        aria-label={trans.__('Filter: %1', props.label)}
        onChange={event => onFilter(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Escape' && filter !== '') {
            event.stopPropagation();
            onFilter('');
          }
        }}
      />
      {choice && (
        <select
          className="jp-mod-styled"
          aria-label={choice.label}
          value={props.chosen}
          onChange={event => props.onChoose(Number(event.target.value))}
        >
          <option value={-1}>{choice.all}</option>
          {choice.options.map((option, index) => (
            <option key={option.label} value={index}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </div>
  );
}
