import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button } from '../core/Button';
import { StoreDetailModel } from './detailModel';
import { highlight } from './highlight';
import { IPassageSource, ISearchResult } from './types';

interface ISearchBoxProps {
  readonly model: StoreDetailModel;
  readonly openFile: (fileId: string) => void;
  readonly copy: (text: string) => void;
  readonly insertCode: (query: string) => void;
  readonly trans: TranslationBundle;
}

/** Finds passages in the store. */
export function SearchBox(props: ISearchBoxProps): JSX.Element {
  const { model, insertCode, trans } = props;
  const [query, setQuery] = React.useState(model.search?.query ?? '');
  const { search } = model;
  const blank = query.trim() === '';
  return (
    <section className="jp-PerijoveStore-search" aria-label={trans.__('Search')}>
      <form
        onSubmit={event => {
          event.preventDefault();
          if (!blank) {
            void model.find(query.trim());
          }
        }}
      >
        <input
          type="search"
          className="jp-mod-styled"
          value={query}
          placeholder={trans.__('What are you looking for?')}
          aria-label={trans.__('Search this vector store')}
          onChange={event => setQuery(event.target.value)}
        />
        <Button type="submit" mod="accept" disabled={blank}>
          {trans.__('Search')}
        </Button>
        <Button disabled={blank} onClick={() => insertCode(query.trim())}>
          {trans.__('Insert code')}
        </Button>
      </form>
      {search?.error && (
        <div role="alert" className="jp-PerijoveEdit-refused">
          {search.error}
        </div>
      )}
      <div role="status" className="jp-PerijoveStore-note">
        {search &&
          !search.error &&
          summary(search.running, search.results.length, search.took, trans)}
      </div>
      <ol className="jp-PerijoveStore-results" aria-busy={search?.running ?? false}>
        {search?.results.map((result, index) => (
          <Result
            key={`${result.file_id}-${index}`}
            result={result}
            query={search.query}
            {...props}
          />
        ))}
      </ol>
    </section>
  );
}

function summary(
  running: boolean,
  count: number,
  took: number | null,
  trans: TranslationBundle
): string {
  if (running) {
    return trans.__('Searching…');
  }
  if (count === 0) {
    return trans.__('Nothing was found. Try other words, or add files.');
  }
  return trans._n(
    '%1 passage in %2 ms',
    '%1 passages in %2 ms',
    count,
    count,
    Math.round(took ?? 0)
  );
}

function Result(props: ISearchBoxProps & { result: ISearchResult; query: string }): JSX.Element {
  const { result, query, openFile, copy, trans } = props;
  const source = result.content.find(part => part.source)?.source ?? null;
  const text = result.content.map(part => part.text).join('\n');
  return (
    <li>
      <header>
        <button
          type="button"
          className="jp-PerijoveJob-link"
          onClick={() => openFile(result.file_id)}
        >
          {result.filename || result.file_id}
        </button>
        {source && <span>{place(source, trans)}</span>}
        <span className="jp-PerijoveStore-score" title={trans.__('How well the passage matches')}>
          <meter min={0} max={1} value={result.score} aria-hidden="true" />
          {result.score.toFixed(3)}
        </span>
        <button type="button" className="jp-PerijoveChat-action" onClick={() => copy(text)}>
          {trans.__('Copy')}
        </button>
      </header>
      <blockquote>
        {highlight(text, query).map((piece, index) =>
          piece.hit ? <mark key={index}>{piece.text}</mark> : piece.text
        )}
      </blockquote>
    </li>
  );
}

/** Where a passage is, in words. */
function place(source: IPassageSource, trans: TranslationBundle): string {
  const { unit, start, end } = source;
  const range = start === end ? `${start}` : `${start}–${end}`;
  const one = start === end;
  switch (unit) {
    case 'line':
      return one ? trans.__('line %1', range) : trans.__('lines %1', range);
    case 'page':
      return one ? trans.__('page %1', range) : trans.__('pages %1', range);
    case 'paragraph':
      return one ? trans.__('paragraph %1', range) : trans.__('paragraphs %1', range);
    case 'cell':
      return one ? trans.__('cell %1', range) : trans.__('cells %1', range);
    case 'row':
      return one ? trans.__('row %1', range) : trans.__('rows %1', range);
  }
}
