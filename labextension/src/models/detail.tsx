import '../../style/views.js';

import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { IModel, IPerijoveClient } from '../api';
import {
  attempt,
  CommandButton,
  Facts,
  formatBytes,
  formatCount,
  Pending,
  PlatformGate,
  RelativeTime,
  useObject
} from '../core';
import { modelPath } from './api';
import { kindText } from './columns';
import { IModelContext, MODEL_COMMANDS } from './commands';
import { ModelStateView, pulledShare } from './ModelStateView';

/** A model as a tab. */
export function createDetail(context: IModelContext, client: IPerijoveClient, id: string): Widget {
  const widget = ReactWidget.create(
    <PlatformGate status={client.status} trans={context.trans}>
      <ModelDetail context={context} client={client} id={id} />
    </PlatformGate>
  );
  widget.addClass('jp-PerijoveDetailBody');
  widget.title.label = id;
  return widget;
}

interface IProps {
  readonly context: IModelContext;
  readonly client: IPerijoveClient;
  readonly id: string;
}

function ModelDetail({ context, client, id }: IProps): React.ReactElement {
  const { model: list, trans } = context;
  const { value, error, gone, reload } = useObject<IModel>(client, modelPath(id), 'model', id);
  React.useEffect(() => {
    // The commands below look the model up in the list.
    void list.load();
  }, [list]);
  if (gone) {
    return <div className="jp-PerijoveMessage">{trans.__('This model has been deleted.')}</div>;
  }
  if (value === null) {
    return <Pending error={error} onRetry={reload} trans={trans} />;
  }
  return (
    <article>
      <h1>{value.id}</h1>
      <Actions context={context} model={value} />
      <Pull model={value} context={context} />
      {value.state_reason && <p className="jp-PerijoveReason">{value.state_reason}</p>}
      <ModelFacts model={value} context={context} />
      <h2>{trans.__('Names')}</h2>
      <Aliases model={value} context={context} />
    </article>
  );
}

interface IPartProps {
  readonly context: IModelContext;
  readonly model: IModel;
}

function Actions({ context, model }: IPartProps): React.ReactElement {
  const args = { ids: [model.id] };
  const names = [
    MODEL_COMMANDS.tryIt,
    MODEL_COMMANDS.load,
    MODEL_COMMANDS.unload,
    MODEL_COMMANDS.alias,
    MODEL_COMMANDS.remove
  ];
  return (
    <div className="jp-PerijoveActions">
      {names.map(name => (
        <CommandButton
          key={name}
          commands={context.commands}
          command={name}
          args={args}
          changed={context.model.changed}
        />
      ))}
    </div>
  );
}

function Pull({ context, model }: IPartProps): React.ReactElement | null {
  if (model.state !== 'pulling') {
    return null;
  }
  const { trans } = context;
  const done = formatBytes(model.progress?.bytes ?? 0);
  const total = model.progress?.total_bytes;
  return (
    <div className="jp-PerijoveProgress">
      <progress value={pulledShare(model) ?? undefined} max={1} aria-label={trans.__('Pulled')} />
      <span>{total ? trans.__('%1 of %2', done, formatBytes(total)) : done}</span>
      <CommandButton
        commands={context.commands}
        command={MODEL_COMMANDS.cancel}
        args={{ ids: [model.id] }}
        changed={context.model.changed}
      />
    </div>
  );
}

function ModelFacts({ context, model }: IPartProps): React.ReactElement {
  const { trans } = context;
  return (
    <Facts
      facts={[
        [trans.__('State'), <ModelStateView key="state" model={model} trans={trans} />],
        [trans.__('Kind'), kindText(model, trans)],
        [trans.__('Base model'), model.base_model],
        [trans.__('Size'), formatBytes(model.size_bytes)],
        [trans.__('Parameters'), formatCount(model.parameters)],
        [
          trans.__('Context'),
          model.context_length === null ? '–' : trans.__('%1 tokens', model.context_length)
        ],
        [trans.__('Source'), source(model)],
        [trans.__('Owner'), model.owned_by],
        [trans.__('Added'), <RelativeTime key="created" at={model.created} />]
      ]}
    />
  );
}

function Aliases({ context, model }: IPartProps): React.ReactElement {
  const { api, trans } = context;
  const remove = (alias: string): void => {
    const act = async (): Promise<void> =>
      context.model.put(await api.removeAlias(model.id, alias));
    void attempt(trans.__('The name was not removed.'), act, trans);
  };
  if (model.aliases.length === 0) {
    return <p>{trans.__('Requests call this model by its id only.')}</p>;
  }
  return (
    <ul className="jp-PerijoveTags">
      {model.aliases.map(alias => (
        <li key={alias}>
          {alias}
          <button
            className="jp-PerijoveLink"
            aria-label={trans.__('Remove the name %1', alias)}
            onClick={() => remove(alias)}
          >
            ×
          </button>
        </li>
      ))}
    </ul>
  );
}

function source(model: IModel): string {
  const from = model.source;
  return [from.type, from.repo, from.file, from.path, from.package, from.job]
    .filter(Boolean)
    .join(' · ');
}
