import { TranslationBundle } from '@jupyterlab/translation';
import { UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { RelativeTime } from '../core/clock';
import { formatDuration } from '../core/format';
import { Pending } from '../core/list/ListStates';
import { IPlotSeries, LinePlot } from '../plot';
import { Checkpoints } from './Checkpoints';
import { JobDetailModel } from './detailModel';
import { EventsTimeline } from './EventsTimeline';
import { JobProgress, StateBadge } from './JobState';
import { LogView } from './LogView';
import { isEnded, reasonOf } from './states';
import { IJob } from './types';

/** What can be done with a job. */
export interface IJobActions {
  readonly cancel: (job: IJob) => void;
  readonly pause: (job: IJob) => void;
  readonly resume: (job: IJob) => void;
  readonly clone: (job: IJob) => void;
  readonly tryModel: (model: string) => void;
  readonly openFile: (fileId: string) => void;
  /** Null where clusters have no tabs. */
  readonly openCluster: ((name: string) => void) | null;
  readonly copyId: (id: string) => void;
  readonly insertCode: (job: IJob) => void;
  readonly downloadLog: (id: string) => void;
}

interface IJobDetailProps {
  readonly model: JobDetailModel;
  readonly actions: IJobActions;
  /** Other jobs whose loss can be shown beside this one's. */
  readonly comparison: React.ReactNode;
  readonly compared: readonly IPlotSeries[];
  /** Names of files by their ids, as far as they are known. */
  readonly fileNames: ReadonlyMap<string, string>;
  readonly trans: TranslationBundle;
}

/** Everything about one job. */
export function JobDetail(props: IJobDetailProps): JSX.Element {
  return <UseSignal signal={props.model.changed}>{() => <Detail {...props} />}</UseSignal>;
}

function Detail(props: IJobDetailProps): JSX.Element {
  const { model, actions, comparison, compared, fileNames, trans } = props;
  const { job } = model;
  if (!job) {
    return (
      <div className="jp-PerijoveJob" aria-busy={!model.error}>
        <Pending error={model.error} onRetry={() => void model.load()} trans={trans} />
      </div>
    );
  }
  const reason = reasonOf(job, trans);
  return (
    <div className="jp-PerijoveJob">
      <header className="jp-PerijoveJob-header">
        <h2>{job.fine_tuned_model ?? trans.__('Fine-tuning of %1', job.model)}</h2>
        <StateBadge state={job.state} trans={trans} />
      </header>
      {reason !== '' && (
        <p className={`jp-PerijoveJob-reason jp-mod-${job.state}`} role="status">
          {reason}
        </p>
      )}
      <JobProgress job={job} trans={trans} />
      <Buttons job={job} actions={actions} trans={trans} />
      <Facts job={job} actions={actions} fileNames={fileNames} trans={trans} />
      {(model.metrics.any || !isEnded(job.state)) && (
        <>
          <Plots model={model} compared={compared} trans={trans} />
          {comparison}
        </>
      )}
      <section>
        <h3>{trans.__('Events')}</h3>
        <EventsTimeline events={model.events} trans={trans} />
      </section>
      <section>
        <h3>{trans.__('Checkpoints')}</h3>
        <Checkpoints checkpoints={model.checkpoints} ended={isEnded(job.state)} trans={trans} />
      </section>
      <section>
        <h3>{trans.__('Log')}</h3>
        <LogView model={model.log} onDownload={() => actions.downloadLog(job.id)} trans={trans} />
      </section>
    </div>
  );
}

interface IPartProps {
  readonly job: IJob;
  readonly actions: IJobActions;
  readonly trans: TranslationBundle;
}

function Buttons({ job, actions, trans }: IPartProps): JSX.Element {
  const button = (label: string, run: () => void, style = '') => (
    <button type="button" className={`jp-PerijoveButton ${style}`} onClick={run}>
      {label}
    </button>
  );
  const result = job.fine_tuned_model;
  return (
    <div className="jp-PerijoveJob-buttons" role="toolbar" aria-label={trans.__('Job')}>
      {result && button(trans.__('Try it'), () => actions.tryModel(result), 'jp-mod-accept')}
      {job.state === 'running' && button(trans.__('Pause'), () => actions.pause(job))}
      {job.state === 'paused' && button(trans.__('Resume'), () => actions.resume(job))}
      {!isEnded(job.state) &&
        button(trans.__('Cancel job…'), () => actions.cancel(job), 'jp-mod-warn')}
      {button(trans.__('Clone…'), () => actions.clone(job))}
      {button(trans.__('Copy id'), () => actions.copyId(job.id))}
      {button(trans.__('Insert code'), () => actions.insertCode(job))}
    </div>
  );
}

function Facts(props: IPartProps & { fileNames: ReadonlyMap<string, string> }): JSX.Element {
  const { job, actions, fileNames, trans } = props;
  // What the trainer decided, where the request said "auto".
  const chosen = job.hyperparameters ?? job.method?.supervised?.hyperparameters ?? {};
  const file = (id: string) => (
    <button
      type="button"
      className="jp-PerijoveJob-link"
      title={id}
      onClick={() => actions.openFile(id)}
    >
      {fileNames.get(id) ?? id}
    </button>
  );
  const facts: [string, React.ReactNode][] = [
    [trans.__('Id'), <code key="id">{job.id}</code>],
    [trans.__('Base model'), job.model],
    [trans.__('Training file'), file(job.training_file)]
  ];
  if (job.validation_file) {
    facts.push([trans.__('Validation file'), file(job.validation_file)]);
  }
  facts.push(
    [trans.__('Epochs'), String(chosen.n_epochs ?? '–')],
    [trans.__('Batch size'), String(chosen.batch_size ?? '–')],
    [trans.__('Learning rate multiplier'), String(chosen.learning_rate_multiplier ?? '–')],
    [trans.__('Seed'), String(job.seed ?? '–')],
    [trans.__('Runs at'), <Place key="place" job={job} actions={actions} trans={trans} />],
    [trans.__('Created'), <RelativeTime key="created" at={job.created_at} />]
  );
  if (job.finished_at !== null) {
    facts.push(
      [trans.__('Ended'), <RelativeTime key="ended" at={job.finished_at} />],
      [trans.__('Took'), formatDuration(job.finished_at - job.created_at, trans)]
    );
  }
  return (
    <dl className="jp-PerijoveJob-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Place({ job, actions, trans }: IPartProps): JSX.Element {
  const { openCluster } = actions;
  if (job.cluster === null || job.cluster === 'local') {
    return <>{trans.__('This machine')}</>;
  }
  const name = job.cluster;
  return openCluster ? (
    <button type="button" className="jp-PerijoveJob-link" onClick={() => openCluster(name)}>
      {name}
    </button>
  ) : (
    <>{name}</>
  );
}

function Plots(props: {
  model: JobDetailModel;
  compared: readonly IPlotSeries[];
  trans: TranslationBundle;
}): JSX.Element {
  const { model, compared, trans } = props;
  const loss = model.metrics.series('train_loss', 'train', trans.__('Training loss'));
  const validation = model.metrics.series('valid_loss', 'valid', trans.__('Validation loss'));
  const rate = model.metrics.series('learning_rate', 'rate', trans.__('Learning rate'));
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
    () => [{ id: 'rate', label: trans.__('Learning rate'), points: rate.points }],
    [rate.points, trans]
  );
  return (
    <div className="jp-PerijoveJob-plots">
      <LinePlot
        title={trans.__('Loss')}
        series={losses}
        xLabel={trans.__('Step')}
        yLabel={trans.__('Loss')}
        trans={trans}
      />
      <LinePlot
        title={trans.__('Learning rate')}
        series={rates}
        xLabel={trans.__('Step')}
        yLabel={trans.__('Learning rate')}
        trans={trans}
      />
    </div>
  );
}
