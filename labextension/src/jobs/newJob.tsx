import '../../style/views.js';

import type { INotebookTracker } from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { UUID } from '@lumino/coreutils';
import * as React from 'react';

import { errorText, ICluster, IFile, IModel, IPerijoveClient, jobObject, JobObject } from '../api';
import { ObjectListModel, Pending, PlatformGate, useSignals } from '../core';
import { JobsApi } from './api';
import { BatchForm } from './BatchForm';
import { EMPTY_BATCH, formFromBatch, toBatchRequest } from './batchForm';
import { listDataFrames, uploadDataFrame } from './dataframes';
import { FineTuneForm } from './FineTuneForm';
import { EMPTY_FORM, formFromFineTune, toFineTuneRequest } from './fineTuneForm';
import { IFrameSource } from './FrameField';
import { FormStart } from './ids';
import { IJob } from './types';

interface INewJobContext {
  readonly client: IPerijoveClient;
  readonly api: JobsApi;
  readonly notebooks: INotebookTracker | null;
  readonly onCreated: (job: IJob) => void;
  readonly trans: TranslationBundle;
}

/** The tab in which a job is created. */
export class NewJobWidget extends ReactWidget {
  readonly #start: FormStart;
  readonly #context: INewJobContext;

  constructor(start: FormStart, context: INewJobContext) {
    super();
    this.#start = start;
    this.#context = context;
    const { trans } = context;
    this.addClass('jp-PerijoveTab');
    this.title.label =
      objectOf(start) === 'batch_job' ? trans.__('New batch job') : trans.__('Fine-tune a model');
  }

  protected override render(): JSX.Element {
    const { client, trans } = this.#context;
    return (
      <div className="jp-PerijoveJob-formHost">
        <PlatformGate status={client.status} trans={trans}>
          <NewJob start={this.#start} {...this.#context} />
        </PlatformGate>
      </div>
    );
  }
}

/** The kind of job that a form makes. */
function objectOf(start: FormStart): JobObject {
  return start.from === 'job'
    ? jobObject(start.id)
    : start.from === 'batch'
      ? 'batch_job'
      : 'fine_tuning.job';
}

function NewJob(props: INewJobContext & { start: FormStart }): JSX.Element {
  const { start, client, api, notebooks, trans } = props;
  const object = objectOf(start);
  const [choices, setChoices] = React.useState<IChoices | null>(null);
  const [error, setError] = React.useState('');
  const load = React.useCallback(() => {
    setError('');
    readChoices(start, client, api).then(setChoices, (reason: unknown) =>
      setError(errorText(reason))
    );
  }, [start, client, api]);
  React.useEffect(load, [load]);
  const clusters = useClusters(client);
  const create = useCreation(object, props);

  if (!choices) {
    return <Pending error={error} onRetry={load} trans={trans} />;
  }
  const offer = (file: IFile): string => {
    setChoices(now => now && { ...now, files: [file, ...now.files] });
    return file.id;
  };
  const purpose = object === 'batch_job' ? 'user_data' : 'fine-tune';
  const shared = {
    files: choices.files,
    clusters,
    upload: async (file: File) => offer(await uploadFor(client, file, purpose)),
    trans
  };
  const { other, models } = choices;
  if (object === 'batch_job') {
    const initial = other?.object === 'batch_job' ? formFromBatch(other) : EMPTY_BATCH;
    return (
      <BatchForm {...shared} initial={initial} submit={form => create(toBatchRequest(form))} />
    );
  }
  const initial = {
    ...(other?.object === 'fine_tuning.job' ? formFromFineTune(other) : EMPTY_FORM),
    ...(!other && choices.only && { model: choices.only }),
    ...(start.from === 'file' && { trainingFile: start.id })
  };
  return (
    <FineTuneForm
      {...shared}
      initial={initial}
      models={models}
      frames={frameSource(notebooks, async id =>
        offer(await client.request<IFile>(`/v1/files/${encodeURIComponent(id)}`))
      )}
      submit={form => create(toFineTuneRequest(form))}
    />
  );
}

/** What makes the job, with the same key for each attempt: a second click, or an answer that got lost, makes no second job. */
function useCreation(
  object: JobObject,
  { api, onCreated }: INewJobContext
): (request: unknown) => Promise<void> {
  const key = React.useRef({ of: '', value: '' });
  return async request => {
    const content = JSON.stringify(request);
    if (key.current.of !== content) {
      key.current = { of: content, value: UUID.uuid4() };
    }
    onCreated(await api.create(object, request, key.current.value));
  };
}

/** The places where jobs run, kept fresh while they are offered. */
function useClusters(client: IPerijoveClient): readonly ICluster[] {
  const [model] = React.useState(
    () =>
      new ObjectListModel<ICluster>(client, {
        path: '/v1/clusters',
        object: 'cluster',
        leads: cluster => cluster.kind === 'local'
      })
  );
  useSignals(model.changed);
  React.useEffect(() => {
    void model.load();
    return () => model.dispose();
  }, [model]);
  return model.items;
}

/** What the pickers offer, and the job that the form is a clone of. */
interface IChoices {
  readonly other: IJob | null;
  readonly models: readonly string[];
  /** The base model where there is but one. */
  readonly only: string | null;
  readonly files: readonly IFile[];
}

/** The most files that a picker offers. */
const MAX_FILES = 500;

async function readChoices(
  start: FormStart,
  client: IPerijoveClient,
  api: JobsApi
): Promise<IChoices> {
  const trains = objectOf(start) === 'fine_tuning.job';
  const query = trains ? { purpose: 'fine-tune', limit: 100 } : { limit: 100 };
  const [models, files, other] = await Promise.all([
    trains ? collect(client.each<IModel>('/v1/models')) : [],
    collect(client.each<IFile>('/v1/files', query)),
    start.from === 'job' ? api.retrieve(start.id) : null
  ]);
  const chats = models.filter(model => model.kind === 'chat');
  const bases = chats.filter(model => model.base_model === null);
  return {
    other,
    // What was tuned already comes last.
    models: [...new Set([...bases, ...chats])].map(model => model.id),
    only: bases.length === 1 ? bases[0].id : null,
    files
  };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
    if (all.length >= MAX_FILES) {
      break;
    }
  }
  return all;
}

async function uploadFor(client: IPerijoveClient, file: File, purpose: string): Promise<IFile> {
  const task = client.uploads.start(file, purpose);
  await task.settled;
  if (!task.result) {
    throw new Error(task.error ?? task.state);
  }
  return task.result;
}

/** @param taken - called with the id of a file that was uploaded from the kernel */
function frameSource(
  notebooks: INotebookTracker | null,
  taken: (fileId: string) => Promise<string>
): IFrameSource | null {
  const panel = notebooks?.currentWidget;
  const kernel = panel?.sessionContext.session?.kernel;
  if (!panel || !kernel) {
    return null;
  }
  return {
    notebook: panel.title.label,
    list: () => listDataFrames(kernel),
    upload: async name => taken(await uploadDataFrame(kernel, name))
  };
}
