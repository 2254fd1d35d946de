import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { createListSection, IColumn, ISnippets, ObjectListModel, RelativeTime } from '../core';
import { nameOf } from './commands';
import * as ids from './ids';
import { StateBadge } from './JobState';
import { reasonOf, stateLabel } from './states';
import { IJob } from './types';

interface ISectionContext {
  readonly model: ObjectListModel<IJob>;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

/** The list of fine-tuning jobs in the side panel. */
export function createSection(context: ISectionContext, snippets: ISnippets): Widget {
  const { model, commands, trans } = context;
  return createListSection(
    {
      model,
      kind: ids.JOB_KIND,
      label: trans.__('Fine-tuning jobs'),
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
        title: trans.__('No fine-tuning jobs'),
        text: trans.__('Teach a model from your own examples: choose a training file and start.'),
        actions: [{ label: trans.__('Fine-tune a model…'), command: ids.CREATE_JOB }]
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
      render: job => <span title={job.id}>{nameOf(job, job.id)}</span>,
      width: 'minmax(70px, 1fr)'
    },
    {
      id: 'state',
      title: trans.__('State'),
      value: job => stateLabel(job.state, trans),
      render: job => {
        const why = job.state === 'succeeded' ? '' : reasonOf(job, trans);
        return (
          <span title={why}>
            <StateBadge state={job.state} trans={trans} /> {percentage(job)}{' '}
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

function percentage(job: IJob): string {
  const { step, total_steps: total } = job.progress ?? {};
  return job.state === 'running' && typeof step === 'number' && total
    ? `${Math.floor((100 * step) / total)} %`
    : '';
}
