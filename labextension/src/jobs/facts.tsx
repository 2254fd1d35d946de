import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { shortNumber } from '../clusters/words';
import { RelativeTime } from '../core';
import { IJobLinks } from './links';
import { IBatchJob, IFineTune, IJob } from './types';
import { joinWords } from './words';

/** Something about a job, and what it is called. */
export type Fact = readonly [string, React.ReactNode];

/** What only jobs of its kind tell. */
export function factsOf(job: IJob, links: IJobLinks): readonly Fact[] {
  return job.object === 'batch_job' ? batchFacts(job, links) : trainingFacts(job, links);
}

function trainingFacts(job: IFineTune, links: IJobLinks): readonly Fact[] {
  const { trans } = links;
  // What the trainer decided, where the request said "auto".
  const chosen = job.hyperparameters ?? job.method?.supervised?.hyperparameters ?? {};
  const validation = job.validation_file;
  return [
    [trans.__('Base model'), job.model],
    [trans.__('Training file'), <FileLink key="t" id={job.training_file} links={links} />],
    ...(validation
      ? [[trans.__('Validation file'), <FileLink key="v" id={validation} links={links} />] as const]
      : []),
    [trans.__('Epochs'), String(chosen.n_epochs ?? '–')],
    [trans.__('Batch size'), String(chosen.batch_size ?? '–')],
    [trans.__('Learning rate multiplier'), String(chosen.learning_rate_multiplier ?? '–')],
    [trans.__('Seed'), String(job.seed ?? '–')]
  ];
}

function batchFacts(job: IBatchJob, links: IJobLinks): readonly Fact[] {
  const { trans } = links;
  const { environment_names: variables, files } = job;
  return [
    [trans.__('Command'), <code key="command">{joinWords(job.command)}</code>],
    ...(job.image ? [[trans.__('Image'), <code key="image">{job.image}</code>] as const] : []),
    ...(files.length > 0
      ? [[trans.__('Files'), <Files key="files" job={job} links={links} />] as const]
      : []),
    ...(variables.length > 0
      ? [[trans.__('Environment'), <code key="names">{variables.join(', ')}</code>] as const]
      : []),
    [trans.__('Resources'), resourcesText(job, trans)],
    ...(job.completions > 1
      ? [
          [
            trans.__('Completions'),
            trans.__('%1, %2 at once', job.completions, job.parallelism)
          ] as const
        ]
      : []),
    ...(job.started_at === null
      ? []
      : [[trans.__('Started'), <RelativeTime key="started" at={job.started_at} />] as const])
  ];
}

function resourcesText({ resources }: IBatchJob, trans: TranslationBundle): string {
  const { cpus, memory_bytes: memory, gpus } = resources;
  const words = [
    cpus === 1 ? trans.__('1 CPU') : trans.__('%1 CPUs', shortNumber(cpus)),
    trans.__('%1 GiB of memory', shortNumber(memory / 2 ** 30))
  ];
  return [...words, ...(gpus > 0 ? [trans._n('%1 GPU', '%1 GPUs', gpus, gpus)] : [])].join(', ');
}

function Files(props: { readonly job: IBatchJob; readonly links: IJobLinks }): JSX.Element {
  return (
    <ul className="jp-PerijoveJob-files">
      {props.job.files.map(({ file_id: id, path }) => (
        <li key={path}>
          <FileLink id={id} links={props.links} /> → <code>{path}</code>
        </li>
      ))}
    </ul>
  );
}

function FileLink(props: { readonly id: string; readonly links: IJobLinks }): JSX.Element {
  const { id, links } = props;
  return (
    <button
      type="button"
      className="jp-PerijoveJob-link"
      title={id}
      onClick={() => links.openFile(id)}
    >
      {links.fileNames.get(id) ?? id}
    </button>
  );
}
