import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { attemptOf, IMatch, MAX_LINE_LENGTH } from './logBuffer';
import { LogModel } from './logModel';
import { Scroller } from './Scroller';

/** Keys that leave the end of the log. */
const UPWARDS = ['ArrowUp', 'PageUp', 'Home'];

/** Lines that are rendered as one piece, so that an appended line renders few. */
const BLOCK = 100;

/** Characters of a line that are shown until a person wants all. */
const SHOWN = 2_000;

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

/** The lines that are held, the current match in view. */
export function LogLines(props: ILinesProps): JSX.Element {
  const { model, matches, current, query, wrap, follow, onFollow, trans } = props;
  const scroller = React.useRef<HTMLDivElement>(null);
  const { lines, first } = model;
  React.useEffect(() => {
    scroller.current?.querySelector('mark.jp-mod-current')?.scrollIntoView({ block: 'nearest' });
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
      {blocks(lines, first).map(({ key, start, text, count }) => {
        const inside = ({ line }: IMatch): boolean => line >= start && line < start + count;
        const match = matches[current];
        const here = match !== undefined && inside(match);
        return (
          <Block
            key={key}
            number={first + start}
            text={text}
            query={query !== '' && matches.some(inside) ? query : ''}
            currentLine={here ? match.line - start : -1}
            currentStart={here ? match.start : -1}
            trans={trans}
          />
        );
      })}
    </Scroller>
  );
}

interface IBlock {
  readonly key: number;
  readonly start: number;
  readonly count: number;
  readonly text: string;
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

interface IBlockProps {
  /** Of its first line. */
  readonly number: number;
  readonly text: string;
  readonly query: string;
  /** Which of its lines has the current match, and where; -1 for none. */
  readonly currentLine: number;
  readonly currentStart: number;
  readonly trans: TranslationBundle;
}

const Block = React.memo(function Block(props: IBlockProps): JSX.Element {
  const { number, text, query, currentLine, currentStart, trans } = props;
  /** The numbers of long lines that are shown whole. */
  const [whole, setWhole] = React.useState<ReadonlySet<number>>(new Set());
  const lines = React.useMemo(() => text.split('\n'), [text]);
  const plain = lines.every(line => line.length <= SHOWN && attemptOf(line) === null);
  if (plain && query === '') {
    return <pre>{text}</pre>;
  }
  return (
    <pre>
      {lines.map((line, index) => (
        <React.Fragment key={number + index}>
          {index > 0 && '\n'}
          <Line
            text={line}
            query={query}
            current={index === currentLine ? currentStart : -1}
            whole={whole.has(number + index)}
            onWhole={() => setWhole(before => new Set(before).add(number + index))}
            trans={trans}
          />
        </React.Fragment>
      ))}
    </pre>
  );
});

function Line(props: {
  text: string;
  query: string;
  /** Where the current match begins, -1 for none. */
  current: number;
  whole: boolean;
  onWhole: () => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { text, query, current, trans } = props;
  const cut = !props.whole && text.length > SHOWN && current + query.length <= SHOWN;
  const marked = <Marked text={cut ? text.slice(0, SHOWN) : text} query={query} at={current} />;
  const attempt = attemptOf(text);
  return (
    <>
      {attempt === null ? (
        marked
      ) : (
        <span className="jp-PerijoveLog-attempt" data-attempt={attempt}>
          {marked}
        </span>
      )}
      {cut && (
        <button type="button" className="jp-PerijoveLog-more" onClick={props.onWhole}>
          {trans.__('… %1 more characters', (text.length - SHOWN).toLocaleString())}
        </button>
      )}
      {!cut && text.length >= MAX_LINE_LENGTH && (
        <span className="jp-PerijoveLog-more">{trans.__('… the download has the rest')}</span>
      )}
    </>
  );
}

/** Text in which each place that a search has found is marked. */
function Marked(props: { text: string; query: string; at: number }): JSX.Element {
  const { text, query, at } = props;
  if (query === '') {
    return <>{text}</>;
  }
  const needle = query.toLowerCase();
  const lower = text.toLowerCase();
  const parts: React.ReactNode[] = [];
  let from = 0;
  for (let found = lower.indexOf(needle); found >= 0; found = lower.indexOf(needle, from)) {
    const end = found + needle.length;
    parts.push(
      text.slice(from, found),
      <mark key={found} className={found === at ? 'jp-mod-current' : undefined}>
        {text.slice(found, end)}
      </mark>
    );
    from = end;
  }
  return (
    <>
      {parts}
      {text.slice(from)}
    </>
  );
}
