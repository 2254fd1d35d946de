import { caretDownIcon, caretUpIcon, UseSignal } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { findAll, findAttempts, IAttempt, IMatch, matchFrom, MAX_MATCHES } from './logBuffer';
import { LogLines } from './LogLines';
import { LogModel } from './logModel';

interface ILogViewProps {
  readonly model: LogModel;
  readonly onDownload: () => void;
  readonly trans: TranslationBundle;
}

/** The log of a job: follow, wrap, search, attempts, download. */
export function LogView(props: ILogViewProps): JSX.Element {
  return <UseSignal signal={props.model.changed}>{() => <Log {...props} />}</UseSignal>;
}

function Log({ model, onDownload, trans }: ILogViewProps): JSX.Element {
  const [follow, setFollow] = React.useState(true);
  const [wrap, setWrap] = React.useState(true);
  const [query, setQuery] = React.useState('');
  // By the number of the line, which it keeps when lines come or go above it.
  const [place, setPlace] = React.useState<IMatch | null>(null);
  const root = React.useRef<HTMLElement>(null);
  const { lines, first } = model;
  const matches = React.useMemo(() => findAll(lines, query), [lines, query]);
  const attempts = React.useMemo(() => findAttempts(lines), [lines]);
  const index = matchFrom(matches, place && { ...place, line: place.line - first });
  const step = (by: number) => {
    if (matches.length > 0) {
      const { line, start } = matches[(index + by + matches.length) % matches.length];
      setFollow(false);
      setPlace({ line: line + first, start });
    }
  };
  const goTo = (attempt: string) => {
    setFollow(false);
    const begin = root.current?.querySelector(`[data-attempt="${attempt}"]`);
    const target = begin ?? root.current?.querySelector('pre');
    target?.scrollIntoView({ block: 'start' });
  };

  return (
    <section ref={root} className="jp-PerijoveLog" aria-label={trans.__('Log')}>
      <div className="jp-PerijoveLog-toolbar" role="toolbar" aria-label={trans.__('Log')}>
        <Toggle label={trans.__('Follow')} pressed={follow} toggle={() => setFollow(!follow)} />
        <Toggle label={trans.__('Wrap')} pressed={wrap} toggle={() => setWrap(!wrap)} />
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Search')}
          aria-label={trans.__('Search the log')}
          value={query}
          onChange={event => {
            setQuery(event.target.value);
            setPlace(null);
          }}
          onKeyDown={event => {
            if (event.key === 'Enter') {
              step(event.shiftKey ? -1 : 1);
            }
          }}
        />
        {query !== '' && <Matches count={matches.length} index={index} step={step} trans={trans} />}
        {attempts.length > 0 && <Attempts attempts={attempts} goTo={goTo} trans={trans} />}
        <button type="button" className="jp-PerijoveLog-button" onClick={onDownload}>
          {trans.__('Download')}
        </button>
      </div>
      {model.error && (
        <div className="jp-PerijoveLog-error" role="alert">
          {model.error}{' '}
          <button type="button" className="jp-PerijoveLog-button" onClick={() => model.start()}>
            {trans.__('Try again')}
          </button>
        </div>
      )}
      <LogLines
        model={model}
        matches={matches}
        current={index}
        query={query}
        wrap={wrap}
        follow={follow && query === ''}
        onFollow={setFollow}
        trans={trans}
      />
    </section>
  );
}

function Toggle(props: { label: string; pressed: boolean; toggle: () => void }): JSX.Element {
  return (
    <button
      type="button"
      className="jp-PerijoveLog-button"
      aria-pressed={props.pressed}
      onClick={props.toggle}
    >
      {props.label}
    </button>
  );
}

/** How many places a search has found, and the way from one to the next. */
function Matches(props: {
  count: number;
  index: number;
  step: (by: number) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { count, index, step, trans } = props;
  const button = (label: string, by: number, icon: JSX.Element) => (
    <button
      type="button"
      className="jp-PerijoveIconButton"
      title={label}
      aria-label={label}
      disabled={count === 0}
      onClick={() => step(by)}
    >
      {icon}
    </button>
  );
  return (
    <>
      <span role="status" className="jp-PerijoveLog-count">
        {count < MAX_MATCHES
          ? trans.__('%1 of %2', index + 1, count)
          : trans.__('%1 of %2 or more', index + 1, count)}
      </span>
      {button(trans.__('Previous match'), -1, <caretUpIcon.react tag="span" />)}
      {button(trans.__('Next match'), 1, <caretDownIcon.react tag="span" />)}
    </>
  );
}

/** The way to where an attempt begins, of a job that was evicted or restarted. */
function Attempts(props: {
  attempts: readonly IAttempt[];
  goTo: (attempt: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { attempts, goTo, trans } = props;
  const numbers = [...new Set([1, ...attempts.map(({ attempt }) => attempt)])];
  return (
    <select
      className="jp-mod-styled"
      aria-label={trans.__('Go to an attempt')}
      value=""
      onChange={event => goTo(event.target.value)}
    >
      <option value="" disabled>
        {trans._n('%1 attempt', '%1 attempts', numbers.length)}
      </option>
      {numbers.map(number => (
        <option key={number} value={number}>
          {trans.__('Attempt %1', number)}
        </option>
      ))}
    </select>
  );
}
