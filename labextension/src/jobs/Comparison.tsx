import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IPlotSeries } from '../plot';

/** Another job to compare with. */
export interface IComparable {
  readonly id: string;
  readonly label: string;
}

/** As many lines as a person can tell apart. */
const MAX_COMPARED = 4;

/** Chooses other jobs whose loss is drawn beside this one's. */
export function Comparison(props: {
  /** Asked for when the list is opened. */
  others: () => Promise<readonly IComparable[]>;
  load: (job: IComparable) => Promise<IPlotSeries>;
  onChange: (series: readonly IPlotSeries[]) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { others, load, onChange, trans } = props;
  const [jobs, setJobs] = React.useState<readonly IComparable[] | null>(null);
  const [chosen, setChosen] = React.useState<readonly IPlotSeries[]>([]);
  const [error, setError] = React.useState('');

  const attempt = (run: () => Promise<void>) => {
    setError('');
    run().catch((reason: unknown) => {
      setError(reason instanceof Error ? reason.message : String(reason));
    });
  };
  const choose = (next: readonly IPlotSeries[]) => {
    setChosen(next);
    onChange(next);
  };
  return (
    <details
      className="jp-PerijoveJob-comparison"
      onToggle={event => {
        if (event.currentTarget.open && jobs === null) {
          attempt(async () => setJobs(await others()));
        }
      }}
    >
      <summary>{trans.__('Compare with other jobs')}</summary>
      {error !== '' && <div role="alert">{error}</div>}
      {jobs?.length === 0 && <p>{trans.__('There is no other job yet.')}</p>}
      {jobs?.map(job => {
        const checked = chosen.some(one => one.id === job.id);
        return (
          <label key={job.id}>
            <input
              type="checkbox"
              checked={checked}
              disabled={!checked && chosen.length >= MAX_COMPARED}
              onChange={() =>
                checked
                  ? choose(chosen.filter(one => one.id !== job.id))
                  : attempt(async () => choose([...chosen, await load(job)]))
              }
            />
            {job.label}
          </label>
        );
      })}
    </details>
  );
}
