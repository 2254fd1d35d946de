import { UseSignal } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { findAll, IMatch } from './logBuffer';
import { LogModel } from './logModel';

/** Keys that leave the end of the log. */
const UPWARDS = ['ArrowUp', 'PageUp', 'Home'];

/** Lines that are rendered as one piece, so that an appended line renders few. */
const BLOCK = 100;

interface ILogViewProps {
  readonly model: LogModel;
  readonly onDownload: () => void;
  readonly trans: TranslationBundle;
}

/** The log of a job: follow, wrap, search, download. */
export function LogView(props: ILogViewProps): JSX.Element {
  return <UseSignal signal={props.model.changed}>{() => <Log {...props} />}</UseSignal>;
}

function Log({ model, onDownload, trans }: ILogViewProps): JSX.Element {
  const [follow, setFollow] = React.useState(true);
  const [wrap, setWrap] = React.useState(true);
  const [query, setQuery] = React.useState('');
  const [current, setCurrent] = React.useState(0);
  const { lines } = model;
  const matches = React.useMemo(() => findAll(lines, query), [lines, query]);
  const index = matches.length === 0 ? -1 : Math.min(current, matches.length - 1);
  const step = (by: number) => {
    setFollow(false);
    setCurrent((Math.max(0, index) + by + matches.length) % Math.max(1, matches.length));
  };

  return (
    <section className="jp-PerijoveLog" aria-label={trans.__('Log')}>
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
            setCurrent(0);
          }}
          onKeyDown={event => {
            if (event.key === 'Enter' && matches.length > 0) {
              step(event.shiftKey ? -1 : 1);
            }
          }}
        />
        {query !== '' && (
          <span role="status" className="jp-PerijoveLog-count">
            {trans.__('%1 of %2', index + 1, matches.length)}
          </span>
        )}
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
      <Lines
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

interface ILinesProps {
  readonly model: LogModel;
  readonly matches: readonly IMatch[];
  readonly current: number;
  readonly query: string;
  readonly wrap: boolean;
  readonly follow: boolean;
  readonly onFollow: (follow: boolean) => void;
  readonly trans: TranslationBundle;
}

function Lines(props: ILinesProps): JSX.Element {
  const { model, matches, current, query, wrap, follow, onFollow, trans } = props;
  const scroller = React.useRef<HTMLDivElement>(null);
  const { lines, first } = model;
  React.useEffect(() => {
    scroller.current?.querySelector('.jp-mod-current')?.scrollIntoView({ block: 'nearest' });
  }, [current, query]);

  return (
    <Scroller
      element={scroller}
      toEnd={follow}
      className={`jp-PerijoveLog-lines${wrap ? ' jp-mod-wrap' : ''}`}
      role="region"
      aria-label={trans.__('Lines of the log')}
      tabIndex={0}
      onWheel={event => event.deltaY < 0 && onFollow(false)}
      onKeyDown={event => UPWARDS.includes(event.key) && onFollow(false)}
      onScroll={event => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        if (!follow && scrollHeight - scrollTop - clientHeight < 2 && query === '') {
          onFollow(true);
        }
      }}
    >
      {model.hasEarlier && (
        <button
          type="button"
          className="jp-PerijoveLog-button"
          disabled={model.loadingEarlier}
          onClick={() => {
            onFollow(false);
            model.loadEarlier();
          }}
        >
          {model.loadingEarlier ? trans.__('Loading…') : trans.__('Load earlier lines')}
        </button>
      )}
      {model.cut && (
        <div className="jp-PerijoveLog-note">
          {trans.__('The beginning is not shown here. Download the log for all of it.')}
        </div>
      )}
      {lines.length === 0 && !model.error && (
        <div className="jp-PerijoveLog-note">
          {model.streaming ? trans.__('Nothing written yet.') : trans.__('The log is empty.')}
        </div>
      )}
      {blocks(lines, first).map(({ key, start, text, count }) => (
        <Block
          key={key}
          text={text}
          query={
            query !== '' && matches.some(({ line }) => line >= start && line < start + count)
              ? query
              : ''
          }
          current={currentIn(matches, current, start, count)}
        />
      ))}
    </Scroller>
  );
}

interface IBlock {
  readonly key: number;
  readonly start: number;
  readonly count: number;
  readonly text: string;
}

interface IScrollerProps extends React.HTMLAttributes<HTMLDivElement> {
  readonly element: React.RefObject<HTMLDivElement>;
  /** Whether the end stays in view. */
  readonly toEnd: boolean;
}

interface IPlace {
  readonly node: HTMLElement;
  readonly top: number;
}

/** Keeps what is in view where it is when lines come or go above it. */
class Scroller extends React.Component<IScrollerProps> {
  override getSnapshotBeforeUpdate(): IPlace | null {
    const { scrollTop, children } = this.props.element.current!;
    const pieces = [...children].filter(child => child instanceof HTMLPreElement);
    // The first piece may change at its beginning.
    const node =
      pieces.slice(1).find(piece => piece.offsetTop + piece.offsetHeight > scrollTop) ?? pieces[0];
    return node ? { node, top: node.offsetTop } : null;
  }

  override componentDidMount(): void {
    this._place(null);
  }

  override componentDidUpdate(_: IScrollerProps, __: unknown, place: IPlace | null): void {
    this._place(place);
  }

  override render(): React.ReactNode {
    const { element, toEnd: _, ...attributes } = this.props;
    return <div ref={element} {...attributes} />;
  }

  private _place(place: IPlace | null): void {
    const scroller = this.props.element.current!;
    if (this.props.toEnd) {
      scroller.scrollTop = scroller.scrollHeight;
    } else if (place?.node.isConnected) {
      scroller.scrollTop += place.node.offsetTop - place.top;
    }
  }
}

/** Lines in pieces whose borders do not move when lines are added or dropped; the first, which may be cut, is alone. */
function blocks(lines: readonly string[], first: number): IBlock[] {
  const made: IBlock[] = [];
  let start = 0;
  while (start < lines.length) {
    const key = Math.floor((first + start - 1) / BLOCK);
    const end = Math.min(lines.length, (key + 1) * BLOCK + 1 - first);
    made.push({ key, start, count: end - start, text: lines.slice(start, end).join('\n') });
    start = end;
  }
  return made;
}

/** Which of a block's own matches is the current one, or -1. */
function currentIn(
  matches: readonly IMatch[],
  current: number,
  start: number,
  count: number
): number {
  const match = matches[current];
  if (!match || match.line < start || match.line >= start + count) {
    return -1;
  }
  return current - matches.findIndex(({ line }) => line >= start);
}

const Block = React.memo(function Block(props: {
  text: string;
  query: string;
  current: number;
}): JSX.Element {
  const { text, query, current } = props;
  if (query === '') {
    return <pre>{text}</pre>;
  }
  const needle = query.toLowerCase();
  const lower = text.toLowerCase();
  const parts: React.ReactNode[] = [];
  let from = 0;
  for (let at = lower.indexOf(needle), n = 0; at >= 0; n++) {
    parts.push(
      text.slice(from, at),
      <mark key={at} className={n === current ? 'jp-mod-current' : undefined}>
        {text.slice(at, at + needle.length)}
      </mark>
    );
    from = at + needle.length;
    at = lower.indexOf(needle, from);
  }
  return (
    <pre>
      {parts}
      {text.slice(from)}
    </pre>
  );
});
