import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IPerijoveClient, isEnded, jobsPath } from '../api';
import { useSignals } from '../core';
import { IPlotSeries, LinePlot } from '../plot';
import { IJobsApi } from './api';
import { Comparison, IComparable } from './Comparison';
import { JobDetailModel } from './detailModel';
import { JobMetrics } from './metrics';
import { nameOf } from './names';
import { IFineTune } from './types';

/** The most jobs that are offered for a comparison. */
const MAX_OTHERS = 50;

/** The most pages of events that a comparison reads. */
const MAX_PAGES = 20;

interface ITrainingProps {
  readonly model: JobDetailModel;
  readonly client: IPerijoveClient;
  readonly api: IJobsApi;
  readonly trans: TranslationBundle;
}

/** The curves of a fine-tune, and those of others beside them. */
export function Training(props: ITrainingProps): JSX.Element | null {
  const { model, client, api, trans } = props;
  useSignals(model.changed);
  const [compared, setCompared] = React.useState<readonly IPlotSeries[]>([]);
  const others = React.useCallback(async () => {
    const path = jobsPath('fine_tuning.job');
    const page = await client.list<IFineTune>(path, { limit: MAX_OTHERS });
    return page.data
      .filter(job => job.id !== model.id)
      .map(job => ({
        id: job.id,
        label: trans.__('%1 (%2)', nameOf(job), new Date(job.created_at * 1000).toLocaleString())
      }));
  }, [client, model, trans]);
  const load = React.useCallback((job: IComparable) => lossOf(api, job), [api]);
  const { job, metrics } = model;
  if (!job || (!metrics.any && isEnded(job.state))) {
    return null;
  }
  return (
    <>
      <Plots metrics={metrics} compared={compared} trans={trans} />
      <Comparison others={others} load={load} onChange={setCompared} trans={trans} />
    </>
  );
}

function Plots(props: {
  readonly metrics: JobMetrics;
  readonly compared: readonly IPlotSeries[];
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { metrics, compared, trans } = props;
  const step = trans.__('Step');
  const lossWord = trans.__('Loss');
  const rateWord = trans.__('Learning rate');
  const loss = metrics.series('train_loss', 'train', trans.__('Training loss'));
  const validation = metrics.series('valid_loss', 'valid', trans.__('Validation loss'));
  const rate = metrics.series('learning_rate', 'rate', rateWord);
  const losses = React.useMemo(
    () => [
      { id: 'train', label: trans.__('Training loss'), points: loss.points },
      ...(validation.points.length > 0
        ? [{ id: 'valid', label: trans.__('Validation loss'), points: validation.points }]
        : []),
      ...compared
    ],
    [loss.points, validation.points, compared, trans]
  );
  const rates = React.useMemo(
    () => [{ id: 'rate', label: rateWord, points: rate.points }],
    [rate.points, rateWord]
  );
  return (
    <div className="jp-PerijoveJob-plots">
      <LinePlot title={lossWord} series={losses} xLabel={step} yLabel={lossWord} trans={trans} />
      <LinePlot title={rateWord} series={rates} xLabel={step} yLabel={rateWord} trans={trans} />
    </div>
  );
}

/** The loss curve of another job as it is now. */
async function lossOf(api: IJobsApi, job: IComparable): Promise<IPlotSeries> {
  const metrics = new JobMetrics();
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { data, has_more } = await api.events(job.id, after);
    metrics.add(data);
    after = data[data.length - 1]?.id;
    if (!has_more || after === undefined) {
      break;
    }
  }
  return metrics.series('train_loss', job.id, job.label);
}
