import '../../style/views.js';

import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import { ICluster, IFile, IPerijoveClient, jobObject } from '../api';
import { attempt, ISnippets, OPEN_DETAIL, PlatformGate, useSignals } from '../core';
import { JobsApi } from './api';
import { JobDetailModel } from './detailModel';
import * as ids from './ids';
import { JobDetail } from './JobDetail';
import { IJobLinks } from './links';
import { filesOf, nameOf } from './names';
import { Training } from './Training';

interface IDetailContext {
  readonly client: IPerijoveClient;
  readonly api: JobsApi;
  readonly commands: CommandRegistry;
  readonly snippets: ISnippets;
  readonly trans: TranslationBundle;
}

/** The tab of one job. */
export class JobDetailWidget extends ReactWidget {
  readonly #id: string;
  readonly #context: IDetailContext;

  constructor(id: string, context: IDetailContext) {
    super();
    this.#id = id;
    this.#context = context;
    this.addClass('jp-PerijoveTab');
    this.#model = new JobDetailModel(id, context.api);
    this.#model.changed.connect(this.#name, this);
    void this.#load();
  }

  override dispose(): void {
    this.#model.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { client, trans } = this.#context;
    return (
      <PlatformGate status={client.status} trans={trans}>
        <Content {...this.#context} id={this.#id} model={this.#model} />
      </PlatformGate>
    );
  }

  async #load(): Promise<void> {
    await this.#context.client.status.whenReady();
    if (!this.isDisposed) {
      await this.#model.load();
    }
  }

  #name(): void {
    const { job } = this.#model;
    if (job) {
      this.title.label = nameOf(job, job.id);
    }
  }

  readonly #model: JobDetailModel;
}

function Content(
  props: IDetailContext & { readonly id: string; readonly model: JobDetailModel }
): JSX.Element {
  const { id, model, client, api, commands, snippets, trans } = props;
  const links: IJobLinks = {
    commands,
    openFile: file => void commands.execute(OPEN_DETAIL, { kind: 'file', id: file }),
    openCluster: commands.hasCommand('perijove:open-cluster')
      ? name => void openCluster(name, client, commands, trans)
      : null,
    insertCode: job => void snippets.insert(ids.JOB_KIND, job),
    downloadLog: job => download(api.logUrl(job), `${job}.log`),
    fileNames: useFileNames(client, model),
    trans
  };
  return (
    <JobDetail model={model} links={links}>
      {jobObject(id) === 'fine_tuning.job' && (
        <Training model={model} client={client} api={api} trans={trans} />
      )}
    </JobDetail>
  );
}

/** The names of the job's files; a file that was deleted keeps its id. */
function useFileNames(client: IPerijoveClient, model: JobDetailModel): ReadonlyMap<string, string> {
  useSignals(model.changed);
  const [names, setNames] = React.useState<ReadonlyMap<string, string>>(new Map());
  const wanted = model.job ? filesOf(model.job).join(' ') : '';
  React.useEffect(() => {
    for (const id of new Set(wanted.split(' ').filter(Boolean))) {
      client.request<IFile>(`/v1/files/${encodeURIComponent(id)}`).then(
        file => setNames(before => new Map(before).set(id, file.filename)),
        () => undefined
      );
    }
  }, [client, wanted]);
  return names;
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
