import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { errorText, IFile, IFilePreview, IFileProblem, isAbort } from '../api';
import { Button, ListFailure, ListProgress } from '../core';
import { FilesApi } from './api';
import { csvRows, formatOf, IPreviewTable, jsonRows, textRows } from './rows';

/** Lines of one page. */
const PAGE = 100;

interface IProps {
  readonly api: FilesApi;
  readonly file: IFile;
  /** The line to show; a new object for each wish. */
  readonly target: { readonly line: number } | null;
  readonly problems: readonly IFileProblem[];
  readonly trans: TranslationBundle;
}

/** The file's lines, a page at a time, as a table where the format has columns. */
export function Preview(props: IProps): React.ReactElement {
  const { file, target, trans } = props;
  const [offset, setOffset] = React.useState(0);
  const [asTable, setAsTable] = React.useState(formatOf(file.filename) !== 'text');
  const page = usePage(props.api, file.id, offset);
  const tableOf = useTable(file, page.preview, page.header, asTable);
  React.useEffect(() => {
    if (target) {
      setOffset(Math.floor((target.line - 1) / PAGE) * PAGE);
    }
  }, [target]);
  if (page.error !== null) {
    return <ListFailure error={page.error} onRetry={page.reload} trans={trans} />;
  }
  if (!page.preview || !tableOf) {
    return <ListProgress trans={trans} />;
  }
  if (page.preview.binary) {
    return (
      <p className="jp-PerijoveMessage">
        {trans.__('This file is not text, so there is no preview. Download it to look at it.')}
      </p>
    );
  }
  return (
    <section className="jp-PerijovePreview" aria-label={trans.__('Preview')}>
      <div className="jp-PerijovePreview-bar">
        <Pager preview={page.preview} onOffset={setOffset} trans={trans} />
        {formatOf(file.filename) !== 'text' && (
          <label>
            <input
              type="checkbox"
              checked={asTable}
              onChange={event => setAsTable(event.target.checked)}
            />
            {trans.__('As a table')}
          </label>
        )}
      </div>
      <Lines table={tableOf} target={target} problems={props.problems} trans={trans} />
    </section>
  );
}

function Pager(props: {
  readonly preview: IFilePreview;
  readonly onOffset: (offset: number) => void;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { preview, onOffset, trans } = props;
  const last = preview.offset + preview.lines.length;
  return (
    <div className="jp-PerijovePreview-pager">
      <Button
        disabled={preview.offset === 0}
        onClick={() => onOffset(Math.max(0, preview.offset - PAGE))}
      >
        {trans.__('Earlier lines')}
      </Button>
      <span>
        {preview.lines.length === 0
          ? trans.__('No lines')
          : preview.total_lines === null
            ? trans.__('Lines %1 to %2', preview.offset + 1, last)
            : trans.__('Lines %1 to %2 of %3', preview.offset + 1, last, preview.total_lines)}
      </span>
      <Button disabled={!preview.has_more} onClick={() => onOffset(preview.offset + PAGE)}>
        {trans.__('Later lines')}
      </Button>
    </div>
  );
}

function Lines(props: {
  readonly table: IPreviewTable;
  readonly target: { readonly line: number } | null;
  readonly problems: readonly IFileProblem[];
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { table, target, problems, trans } = props;
  const marked = React.useRef<HTMLTableRowElement>(null);
  React.useEffect(() => {
    marked.current?.scrollIntoView({ block: 'center' });
  }, [target, table]);
  const problemOf = new Map(problems.map(problem => [problem.line, problem.message]));
  return (
    <div
      className="jp-PerijovePreview-scroller"
      tabIndex={0}
      aria-label={trans.__('Lines of the file')}
    >
      <table>
        {table.columns.length > 0 && (
          <thead>
            <tr>
              <th scope="col">{trans.__('Line')}</th>
              {table.columns.map((column, index) => (
                <th key={index} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
        )}
        <tbody>
          {table.rows.map(row => (
            <tr
              key={row.line}
              ref={row.line === target?.line ? marked : undefined}
              data-line={row.line}
              className={rowClass(row.broken || problemOf.has(row.line), row.line === target?.line)}
              title={problemOf.get(row.line)}
            >
              <th scope="row">{row.line}</th>
              {row.cells.map((cell, index) => (
                <td
                  key={index}
                  colSpan={row.cells.length === 1 ? Math.max(1, table.columns.length) : undefined}
                >
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function rowClass(broken: boolean, current: boolean): string {
  return [broken && 'jp-mod-broken', current && 'jp-mod-current'].filter(Boolean).join(' ');
}

interface IPageState {
  readonly preview: IFilePreview | null;
  /** The first line of the file. */
  readonly header: string;
  readonly error: string | null;
  readonly reload: () => void;
}

function usePage(api: FilesApi, id: string, offset: number): IPageState {
  const [state, setState] = React.useState<Omit<IPageState, 'reload'>>({
    preview: null,
    header: '',
    error: null
  });
  const [round, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const abort = new AbortController();
    api.preview(id, offset, PAGE, abort.signal).then(
      preview =>
        setState(old => ({
          preview,
          header: offset === 0 ? (preview.lines[0]?.text ?? '') : old.header,
          error: null
        })),
      error => {
        if (!isAbort(error)) {
          setState(old => ({ ...old, error: errorText(error) }));
        }
      }
    );
    return () => abort.abort();
  }, [api, id, offset, round]);
  return { ...state, reload: again };
}

function useTable(
  file: IFile,
  preview: IFilePreview | null,
  header: string,
  asTable: boolean
): IPreviewTable | null {
  return React.useMemo(() => {
    if (preview === null) {
      return null;
    }
    const format = asTable ? formatOf(file.filename) : 'text';
    if (format === 'jsonl') {
      return jsonRows(preview.lines);
    }
    if (format === 'csv') {
      const separator = file.filename.toLocaleLowerCase().endsWith('.tsv') ? '\t' : ',';
      return csvRows(preview.lines, header, separator);
    }
    return textRows(preview.lines);
  }, [file.filename, preview, header, asTable]);
}
