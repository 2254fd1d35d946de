import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { createListSection, IColumn, ISnippets, ObjectListModel, RelativeTime } from '../core';
import * as ids from './ids';
import { shortProgress, StateBadge } from './JobState';
import { kindIcon, kindText, nameOf } from './names';
import { reasonOf, stateLabel } from './states';
import { IJob } from './types';

interface ISectionContext {
  readonly model: ObjectListModel<IJob>;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

/** The list of jobs of all kinds in the side panel. */
export function createSection(context: ISectionContext, snippets: ISnippets): Widget {
  const { model, commands, trans } = context;
  return createListSection(
    {
      model,
      kind: ids.JOB_KIND,
      label: trans.__('Jobs'),
      choice: {
        label: trans.__('Kind of job'),
        all: trans.__('All kinds'),
        options: [
          { label: trans.__('Fine-tunes'), accepts: job => job.object === 'fine_tuning.job' },
          { label: trans.__('Batch jobs'), accepts: job => job.object === 'batch_job' }
        ]
      },
      columns: jobColumns(trans),
      commands,
      rowCommands: [
        ids.OPEN_JOB,
        ids.TRY_JOB,
        ids.CLONE_JOB,
        '-',
        ids.PAUSE_JOB,
        ids.RESUME_JOB,
        ids.CANCEL_JOB
      ],
      openCommand: ids.OPEN_JOB,
      empty: {
        title: trans.__('No jobs'),
        text: trans.__(
          'Teach a model from your own examples, or run a command on this machine or a cluster.'
        ),
        actions: [
          { label: trans.__('Fine-tune a model…'), command: ids.CREATE_JOB },
          { label: trans.__('New batch job…'), command: ids.CREATE_BATCH_JOB }
        ]
      },
      name: job => nameOf(job, job.id),
      trans
    },
    snippets
  );
}

function jobColumns(trans: TranslationBundle): readonly IColumn<IJob>[] {
  return [
    {
      id: 'name',
      title: trans.__('Name'),
      value: job => nameOf(job, job.id),
      render: job => <Name job={job} trans={trans} />,
      width: 'minmax(70px, 1fr)'
    },
    {
      id: 'kind',
      title: trans.__('Kind'),
      value: job => kindText(job.object, trans),
      render: job => kindText(job.object, trans),
      width: '72px',
      wide: true
    },
    {
      id: 'state',
      title: trans.__('State'),
      value: job => stateLabel(job.state, trans),
      render: job => {
        const why = job.state === 'succeeded' ? '' : reasonOf(job, trans);
        return (
          <span title={why}>
            <StateBadge state={job.state} trans={trans} /> {shortProgress(job, trans)}{' '}
            <span className="jp-PerijoveReason">{why}</span>
          </span>
        );
      },
      width: 'minmax(116px, 1.5fr)'
    },
    {
      id: 'cluster',
      title: trans.__('Runs at'),
      value: job => job.cluster ?? '',
      render: job => job.cluster,
      width: '84px',
      wide: true
    },
    {
      id: 'created',
      title: trans.__('Created'),
      value: job => job.created_at,
      render: job => <RelativeTime at={job.created_at} />,
      width: '84px',
      wide: true
    }
  ];
}

/** The name, and before it what kind of job it is. */
function Name(props: {
  readonly job: IJob;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { job, trans } = props;
  const kind = kindText(job.object, trans);
  const icon = kindIcon(job.object);
  return (
    <span title={trans.__('%1 %2', kind, job.id)}>
      <span className="jp-PerijoveJob-kind" role="img" aria-label={kind}>
        <icon.react tag="span" />
      </span>
      {nameOf(job, job.id)}
    </span>
  );
}
