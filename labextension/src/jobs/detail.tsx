import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { ICluster, IFile, IPerijoveClient } from '../api';
import { attempt, copyText, ISnippets, OPEN_DETAIL, PlatformGate, useSignals } from '../core';
import { IPlotSeries } from '../plot';
import { JobsApi } from './api';
import { nameOf } from './commands';
import { Comparison, IComparable } from './Comparison';
import { JobDetailModel } from './detailModel';
import * as ids from './ids';
import { IJobActions, JobDetail } from './JobDetail';
import { JobMetrics } from './metrics';
import { IJob } from './types';

/** The most jobs that are offered for a comparison. */
const MAX_OTHERS = 50;

interface IDetailContext {
  readonly client: IPerijoveClient;
  readonly api: JobsApi;
  readonly commands: CommandRegistry;
  readonly snippets: ISnippets;
  readonly trans: TranslationBundle;
}

/** The tab of one job. */
export class JobDetailWidget extends ReactWidget {
  constructor(
    private readonly _id: string,
    private readonly _context: IDetailContext
  ) {
    super();
    this.addClass('jp-PerijoveTab');
    this._model = new JobDetailModel(_id, _context.api);
    this._model.changed.connect(this._name, this);
    void this._load();
  }

  override dispose(): void {
    this._model.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { client, trans } = this._context;
    return (
      <PlatformGate status={client.status} trans={trans}>
        <Content model={this._model} actions={this._actions()} {...this._context} id={this._id} />
      </PlatformGate>
    );
  }

  private async _load(): Promise<void> {
    await this._context.client.status.whenReady();
    if (!this.isDisposed) {
      await this._model.load();
    }
  }

  private _name(): void {
    const { job } = this._model;
    if (job) {
      this.title.label = nameOf(job, job.id);
    }
  }

  private _actions(): IJobActions {
    const { api, client, commands, snippets, trans } = this._context;
    const run = (command: string) => (job: IJob) =>
      void commands.execute(command, { ids: [job.id] });
    return {
      cancel: run(ids.CANCEL_JOB),
      pause: run(ids.PAUSE_JOB),
      resume: run(ids.RESUME_JOB),
      clone: run(ids.CLONE_JOB),
      tryModel: model => void commands.execute('perijove:chat', { model }),
      openFile: id => void commands.execute(OPEN_DETAIL, { kind: 'file', id }),
      openCluster: commands.hasCommand('perijove:open-cluster')
        ? name => void openCluster(name, client, commands, trans)
        : null,
      copyId: id => copyText(id, trans),
      insertCode: job => void snippets.insert(ids.JOB_KIND, job.id),
      downloadLog: id => download(api.logUrl(id), `${id}.log`)
    };
  }

  private readonly _model: JobDetailModel;
}

function Content(
  props: IDetailContext & { id: string; model: JobDetailModel; actions: IJobActions }
): JSX.Element {
  const { id, model, actions, client, api, trans } = props;
  const [compared, setCompared] = React.useState<readonly IPlotSeries[]>([]);
  const others = React.useCallback(async () => {
    const page = await client.list<IJob>('/v1/fine_tuning/jobs', { limit: MAX_OTHERS });
    return page.data
      .filter(job => job.id !== id)
      .map(job => ({
        id: job.id,
        label: trans.__('%1 (%2)', nameOf(job), new Date(job.created_at * 1000).toLocaleString())
      }));
  }, [client, id, trans]);
  const load = React.useCallback((job: IComparable) => lossOf(api, job), [api]);
  const fileNames = useFileNames(client, model);
  return (
    <JobDetail
      model={model}
      fileNames={fileNames}
      actions={actions}
      compared={compared}
      comparison={<Comparison others={others} load={load} onChange={setCompared} trans={trans} />}
      trans={trans}
    />
  );
}

/** The names of the job's files; a file that was deleted keeps its id. */
function useFileNames(client: IPerijoveClient, model: JobDetailModel): ReadonlyMap<string, string> {
  useSignals(model.changed);
  const [names, setNames] = React.useState<ReadonlyMap<string, string>>(new Map());
  const wanted = [model.job?.training_file, model.job?.validation_file].filter(Boolean).join(' ');
  React.useEffect(() => {
    for (const id of wanted.split(' ').filter(Boolean)) {
      client.request<IFile>(`/v1/files/${encodeURIComponent(id)}`).then(
        file => setNames(before => new Map(before).set(id, file.filename)),
        () => undefined
      );
    }
  }, [client, wanted]);
  return names;
}

/** The most pages of events that a comparison reads. */
const MAX_PAGES = 20;

/** The loss curve of another job as it is now. */
async function lossOf(api: JobsApi, job: IComparable): Promise<IPlotSeries> {
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

/** Open the tab of the cluster that jobs call so; tabs go by ids. */
async function openCluster(
  name: string,
  client: IPerijoveClient,
  commands: CommandRegistry,
  trans: TranslationBundle
): Promise<void> {
  const open = async (): Promise<void> => {
    const { id } = await client.request<ICluster>(`/v1/clusters/${encodeURIComponent(name)}`);
    await commands.execute(OPEN_DETAIL, { kind: 'cluster', id });
  };
  await attempt(trans.__('The cluster was not opened.'), open, trans);
}

/** Let the browser itself fetch the address, so that nothing is held in memory. */
function download(url: string, filename: string): void {
  const link = document.createElement('a');
  link.href = url;
  link.download = filename;
  link.click();
}
