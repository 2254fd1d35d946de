import { TranslationBundle } from '@jupyterlab/translation';
import { UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { isEnded } from '../api';
import { Button, CHAT, COPY_ID, formatDuration, Pending, RelativeTime } from '../core';
import { Checkpoints } from './Checkpoints';
import { JobDetailModel } from './detailModel';
import { durationText } from './duration';
import { EventsTimeline } from './EventsTimeline';
import { Fact, factsOf } from './facts';
import * as ids from './ids';
import { JobProgress, StateBadge } from './JobState';
import { IJobLinks } from './links';
import { LogView } from './LogView';
import { kindText, nameOf } from './names';
import { priorities } from './runFields';
import { reasonOf } from './states';
import { IJob } from './types';

interface IJobDetailProps {
  readonly model: JobDetailModel;
  readonly links: IJobLinks;
  /** What only jobs of its kind have, such as curves. */
  readonly children: React.ReactNode;
}

/** Everything about one job. */
export function JobDetail(props: IJobDetailProps): JSX.Element {
  return <UseSignal signal={props.model.changed}>{() => <Detail {...props} />}</UseSignal>;
}

function Detail({ model, links, children }: IJobDetailProps): JSX.Element {
  const { trans } = links;
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
        <h2>{titleOf(job, trans)}</h2>
        <StateBadge state={job.state} trans={trans} />
      </header>
      {reason !== '' && (
        <p className={`jp-PerijoveJob-reason jp-mod-${job.state}`} role="status">
          {reason}
        </p>
      )}
      <JobProgress job={job} trans={trans} />
      <Buttons job={job} links={links} />
      <Facts job={job} links={links} />
      {children}
      <section>
        <h3>{trans.__('Events')}</h3>
        <EventsTimeline events={model.events} trans={trans} />
      </section>
      {job.object === 'fine_tuning.job' && (
        <section>
          <h3>{trans.__('Checkpoints')}</h3>
          <Checkpoints checkpoints={model.checkpoints} ended={isEnded(job.state)} trans={trans} />
        </section>
      )}
      <section>
        <h3>{trans.__('Log')}</h3>
        <LogView model={model.log} onDownload={() => links.downloadLog(job.id)} trans={trans} />
      </section>
    </div>
  );
}

function titleOf(job: IJob, trans: TranslationBundle): string {
  return job.object === 'batch_job'
    ? nameOf(job)
    : (job.fine_tuned_model ?? trans.__('Fine-tuning of %1', job.model));
}

interface IPartProps {
  readonly job: IJob;
  readonly links: IJobLinks;
}

function Buttons({ job, links }: IPartProps): JSX.Element {
  const { commands, trans } = links;
  const button = (label: string, run: () => void, mod?: 'accept' | 'warn'): JSX.Element => (
    <Button mod={mod} onClick={run}>
      {label}
    </Button>
  );
  const command = (id: string, mod?: 'accept' | 'warn'): JSX.Element => {
    const args = { ids: [job.id], kind: ids.JOB_KIND };
    return button(commands.label(id, args), () => void commands.execute(id, args), mod);
  };
  const model = job.object === 'fine_tuning.job' ? job.fine_tuned_model : null;
  return (
    <div className="jp-PerijoveJob-buttons" role="toolbar" aria-label={trans.__('Job')}>
      {model && button(trans.__('Try it'), () => void commands.execute(CHAT, { model }), 'accept')}
      {job.state === 'running' && command(ids.PAUSE_JOB)}
      {job.state === 'paused' && command(ids.RESUME_JOB)}
      {!isEnded(job.state) && command(ids.CANCEL_JOB, 'warn')}
      {command(ids.CLONE_JOB)}
      {command(COPY_ID)}
      {button(trans.__('Insert code'), () => links.insertCode(job.id))}
    </div>
  );
}

function Facts({ job, links }: IPartProps): JSX.Element {
  const { trans } = links;
  const facts: readonly Fact[] = [
    [trans.__('Kind'), kindText(job.object, trans)],
    [trans.__('Id'), <code key="id">{job.id}</code>],
    ...factsOf(job, links),
    [trans.__('Runs at'), <Place key="place" job={job} links={links} />],
    ...(job.priority ? [[trans.__('Priority'), priorityText(job.priority, trans)] as const] : []),
    ...(job.max_run_seconds
      ? [[trans.__('Maximum run time'), durationText(job.max_run_seconds)] as const]
      : []),
    [trans.__('Created'), <RelativeTime key="created" at={job.created_at} />],
    ...(job.finished_at === null
      ? []
      : ([
          [trans.__('Ended'), <RelativeTime key="ended" at={job.finished_at} />],
          [trans.__('Took'), formatDuration(job.finished_at - job.created_at, trans)]
        ] as const))
  ];
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

function priorityText(priority: number, trans: TranslationBundle): string {
  const known = priorities(trans).find(({ id }) => id === String(priority));
  return known?.label ?? String(priority);
}

function Place({ job, links }: IPartProps): JSX.Element {
  const { openCluster, trans } = links;
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
