import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { errorText, IFile, IFileProblem, IFileValidation, isAbort } from '../api';
import { Button } from '../core/Button';
import { FilesApi } from './api';
import { formatOf } from './rows';

export interface IValidationState {
  /** Whether such a file can be validated at all. */
  readonly possible: boolean;
  readonly result: IFileValidation | null;
  readonly error: string | null;
  readonly running: boolean;
  readonly run: () => void;
}

/** The validation of a training file, which begins by itself when that is what the file is for. */
export function useValidation(api: FilesApi, file: IFile): IValidationState {
  const { id } = file;
  const meant = file.purpose === 'fine-tune';
  const [state, setState] = React.useState<Omit<IValidationState, 'possible' | 'run'>>({
    result: null,
    error: null,
    running: false
  });
  const request = React.useRef<AbortController | null>(null);
  const run = React.useCallback(() => {
    request.current?.abort();
    const abort = new AbortController();
    request.current = abort;
    setState({ result: null, error: null, running: true });
    api.validate(id, abort.signal).then(
      result => setState({ result, error: null, running: false }),
      error => {
        if (!isAbort(error)) {
          setState({ result: null, error: errorText(error), running: false });
        }
      }
    );
  }, [api, id]);
  React.useEffect(() => {
    if (meant) {
      run();
    }
    return () => request.current?.abort();
  }, [meant, run]);
  return { ...state, run, possible: meant || formatOf(file.filename) === 'jsonl' };
}

/** What the validation found; a problem's line number leads to the line. */
export function Validation(props: {
  readonly validation: IValidationState;
  readonly onLine: (line: number) => void;
  readonly trans: TranslationBundle;
}): React.ReactElement | null {
  const { trans, onLine } = props;
  const { possible, result, error, running, run } = props.validation;
  if (!possible) {
    return null;
  }
  return (
    <section
      className="jp-PerijoveValidation"
      aria-label={trans.__('Validation')}
      aria-live="polite"
    >
      {running && <p>{trans.__('Checking the file for fine-tuning…')}</p>}
      {error !== null && <p className="jp-PerijoveField-error">{error}</p>}
      {!running && result === null && (
        <Button onClick={run}>{trans.__('Check for fine-tuning')}</Button>
      )}
      {result !== null && <Result result={result} onLine={onLine} trans={trans} />}
    </section>
  );
}

interface IResultProps {
  readonly result: IFileValidation;
  readonly onLine: (line: number) => void;
  readonly trans: TranslationBundle;
}

function Result({ result, onLine, trans }: IResultProps): React.ReactElement {
  return (
    <>
      <p className="jp-PerijoveState" data-state={result.valid ? 'loaded' : 'failed'}>
        {result.valid
          ? trans._n(
              'Ready for fine-tuning: %1 example, about %2 tokens',
              'Ready for fine-tuning: %1 examples, about %2 tokens',
              result.examples,
              result.estimated_tokens
            )
          : trans._n(
              '%1 problem to mend before fine-tuning',
              '%1 problems to mend before fine-tuning',
              result.error_count
            )}
      </p>
      <Problems problems={result.errors} onLine={onLine} trans={trans} />
      {result.truncated && <p>{trans.__('There are more problems; these are the first.')}</p>}
      {result.warnings.length > 0 && <p>{trans.__('To think about:')}</p>}
      <Problems problems={result.warnings} onLine={onLine} trans={trans} />
    </>
  );
}

function Problems(props: {
  readonly problems: readonly IFileProblem[];
  readonly onLine: (line: number) => void;
  readonly trans: TranslationBundle;
}): React.ReactElement | null {
  const { problems, onLine, trans } = props;
  if (problems.length === 0) {
    return null;
  }
  return (
    <ul>
      {problems.map((problem, index) => (
        <li key={index}>
          {problem.line > 0 && (
            <button className="jp-PerijoveLink" onClick={() => onLine(problem.line)}>
              {trans.__('Line %1', problem.line)}
            </button>
          )}{' '}
          {problem.param && <code>{problem.param}</code>} {problem.message}
        </li>
      ))}
    </ul>
  );
}
