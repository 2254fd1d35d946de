import type { INotebookTracker } from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { UUID } from '@lumino/coreutils';
import * as React from 'react';

import { ApiError, errorText, ICluster, IFile, IModel, IPerijoveClient } from '../api';
import { ObjectListModel, Pending, PlatformGate, useSignals } from '../core';
import { JobsApi } from './api';
import { listDataFrames, uploadDataFrame } from './dataframes';
import { EMPTY_FORM, fieldOfParam, formFromJob, IJobForm } from './form';
import { IFrameSource } from './FrameField';
import { FormStart } from './ids';
import { IFileChoice, ISubmitError, JobForm } from './JobForm';
import { IJob } from './types';

interface INewJobContext {
  readonly client: IPerijoveClient;
  readonly api: JobsApi;
  readonly notebooks: INotebookTracker | null;
  readonly onCreated: (job: IJob) => void;
  readonly trans: TranslationBundle;
}

/** What the pickers offer and what the form begins with. */
interface IChoices {
  readonly initial: IJobForm;
  readonly models: readonly string[];
  readonly files: readonly IFileChoice[];
}

/** The tab in which a job is created. */
export class NewJobWidget extends ReactWidget {
  constructor(
    private readonly _start: FormStart,
    private readonly _context: INewJobContext
  ) {
    super();
    this.addClass('jp-PerijoveTab');
    this.title.label = _context.trans.__('Fine-tune a model');
  }

  protected override render(): JSX.Element {
    const { client, trans } = this._context;
    return (
      <div className="jp-PerijoveJob-formHost">
        <PlatformGate status={client.status} trans={trans}>
          <NewJob start={this._start} {...this._context} />
        </PlatformGate>
      </div>
    );
  }
}

function NewJob(props: INewJobContext & { start: FormStart }): JSX.Element {
  const { start, client, api, notebooks, onCreated, trans } = props;
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
  // The same key for each attempt: a click that is repeated, or an answer that got lost, makes no second job.
  const key = React.useRef({ of: '', value: '' });

  if (!choices) {
    return <Pending error={error} onRetry={load} trans={trans} />;
  }
  const submit = async (form: IJobForm): Promise<ISubmitError | null> => {
    const content = JSON.stringify(form);
    if (key.current.of !== content) {
      key.current = { of: content, value: UUID.uuid4() };
    }
    try {
      onCreated(await api.create(form, key.current.value));
      return null;
    } catch (reason) {
      return toSubmitError(reason);
    }
  };
  const offer = (file: IFile): string => {
    setChoices(now => now && { ...now, files: [file, ...now.files] });
    return file.id;
  };
  return (
    <JobForm
      {...choices}
      clusters={clusters}
      upload={async file => offer(await uploadForTraining(client, file))}
      frames={frameSource(notebooks, async id =>
        offer(await client.request<IFile>(`/v1/files/${encodeURIComponent(id)}`))
      )}
      submit={submit}
      trans={trans}
    />
  );
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

/** The most files that a picker offers. */
const MAX_FILES = 500;

async function readChoices(
  start: FormStart,
  client: IPerijoveClient,
  api: JobsApi
): Promise<IChoices> {
  const [models, files, other] = await Promise.all([
    collect(client.each<IModel>('/v1/models')),
    collect(client.each<IFile>('/v1/files', { purpose: 'fine-tune', limit: 100 })),
    start.from === 'job' ? api.retrieve(start.id) : null
  ]);
  const chats = models.filter(model => model.kind === 'chat');
  const bases = chats.filter(model => model.base_model === null);
  return {
    initial: {
      ...(other ? formFromJob(other) : EMPTY_FORM),
      ...(!other && bases.length === 1 && { model: bases[0].id }),
      ...(start.from === 'file' && { trainingFile: start.id })
    },
    // What was tuned already comes last.
    models: [...new Set([...bases, ...chats])].map(model => model.id),
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

async function uploadForTraining(client: IPerijoveClient, file: File): Promise<IFile> {
  const task = client.uploads.start(file, 'fine-tune');
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

function toSubmitError(reason: unknown): ISubmitError {
  const message = errorText(reason);
  const field = reason instanceof ApiError ? fieldOfParam(reason.param) : null;
  return field ? { message: '', fields: { [field]: message } } : { message, fields: {} };
}
