import '../../style/views.js';

import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { IClusterDetail } from '../api';
import {
  CommandButton,
  Facts,
  formatAbsolute,
  ListFailure,
  Pending,
  PlatformGate,
  RelativeTime,
  useSignals
} from '../core';
import { Capacity } from './Capacity';
import { ClusterHealth } from './ClusterHealth';
import { IClusterContext } from './context';
import { ClusterDetailModel } from './detailModel';
import * as ids from './ids';
import { Nodes, Queues, Quotas } from './tables';

/** A cluster as a tab. */
export function createDetail(id: string, context: IClusterContext): Widget {
  const { api, client, trans } = context;
  const model = new ClusterDetailModel(id, api, client.events);
  const widget = ReactWidget.create(
    <PlatformGate status={client.status} trans={trans}>
      <Detail model={model} context={context} />
    </PlatformGate>
  );
  widget.addClass('jp-PerijoveDetailBody');
  model.changed.connect(() => {
    widget.title.label = model.cluster?.name ?? widget.title.label;
  }, model);
  widget.disposed.connect(() => model.dispose(), model);
  return widget;
}

function Detail(props: {
  readonly model: ClusterDetailModel;
  readonly context: IClusterContext;
}): React.ReactElement {
  const { model, context } = props;
  const { trans } = context;
  useSignals(model.changed);
  React.useEffect(() => {
    void model.load();
    // The commands below look the cluster up in the list.
    void context.model.load();
  }, [model, context]);
  const { cluster } = model;
  if (model.gone) {
    return <div className="jp-PerijoveMessage">{trans.__('This cluster has been deleted.')}</div>;
  }
  if (cluster === null) {
    return <Pending error={model.error} onRetry={() => void model.load()} trans={trans} />;
  }
  return (
    <article className="jp-PerijoveCluster">
      <h1>{cluster.name}</h1>
      {model.error !== null && (
        <ListFailure error={model.error} onRetry={() => void model.load()} trans={trans} />
      )}
      {cluster.kind === 'kubernetes' && <Actions id={cluster.id} context={context} />}
      <Reasons cluster={cluster} />
      <Overview cluster={cluster} trans={trans} />
      <h2>{trans.__('Capacity')}</h2>
      <Capacity cluster={cluster} trans={trans} />
      {cluster.kind === 'kubernetes' && <Inside model={model} cluster={cluster} trans={trans} />}
    </article>
  );
}

function Actions(props: {
  readonly id: string;
  readonly context: IClusterContext;
}): React.ReactElement {
  const { id, context } = props;
  return (
    <div className="jp-PerijoveActions">
      {ids.ROW_COMMANDS.map(name => (
        <CommandButton
          key={name}
          commands={context.commands}
          command={name}
          args={{ ids: [id] }}
          changed={context.model.changed}
        />
      ))}
    </div>
  );
}

/** Why it is not as it should be. */
function Reasons(props: { readonly cluster: IClusterDetail }): React.ReactElement | null {
  const { problems, state, state_reason: reason } = props.cluster;
  if (state === 'connected' && problems.length > 0) {
    return (
      <div className="jp-PerijoveCluster-reasons" role="status">
        {problems.map(problem => (
          <div key={problem}>{problem}</div>
        ))}
      </div>
    );
  }
  return reason === null ? null : (
    <p className="jp-PerijoveCluster-reasons" role="status">
      {reason}
    </p>
  );
}

interface IPartProps {
  readonly cluster: IClusterDetail;
  readonly trans: TranslationBundle;
}

function Overview({ cluster, trans }: IPartProps): React.ReactElement {
  const { nodes, registration_token: token, credential } = cluster;
  const kubernetes = cluster.kind === 'kubernetes';
  return (
    <Facts
      facts={[
        [trans.__('State'), <ClusterHealth key="state" cluster={cluster} trans={trans} />],
        [trans.__('Description'), cluster.description],
        [trans.__('Last contact'), kubernetes ? <Contact cluster={cluster} trans={trans} /> : null],
        [
          trans.__('Reported'),
          kubernetes && cluster.reported_at ? <RelativeTime at={cluster.reported_at} /> : null
        ],
        [trans.__('Kubernetes'), cluster.kubernetes_version],
        [
          trans.__('Nodes'),
          nodes && trans.__('%1, of which %2 are ready', nodes.total, nodes.ready)
        ],
        [trans.__('Agents'), kubernetes ? agentsText(cluster, trans) : null],
        ...Object.entries(cluster.component_versions)
          .filter(([name]) => name !== 'agent')
          .map(
            ([name, version]) =>
              [trans.__('Version of %1', name), version || trans.__('unknown')] as const
          ),
        [
          trans.__('Registration token'),
          token && <Token key="token" token={token} trans={trans} />
        ],
        [
          trans.__('Agent’s credential'),
          credential && `${credential.hint}, ${stateWord(credential.state, trans)}`
        ],
        [trans.__('Id'), kubernetes ? cluster.id : null],
        [
          trans.__('Registered'),
          cluster.created_at === null ? null : <RelativeTime at={cluster.created_at} />
        ]
      ]}
    />
  );
}

/** How many agents are connected, and of which versions they are, or were. */
function agentsText(cluster: IClusterDetail, trans: TranslationBundle): string {
  const { agents, agent_versions: versions } = cluster;
  const connected = trans.__('%1 connected', agents);
  return versions.length === 0
    ? connected
    : trans.__('%1, version %2', connected, versions.join(', '));
}

function Contact({ cluster, trans }: IPartProps): React.ReactElement {
  if (cluster.state === 'connected') {
    return <>{trans.__('Now')}</>;
  }
  return cluster.last_contact_at === null ? (
    <>{trans.__('Never')}</>
  ) : (
    <RelativeTime at={cluster.last_contact_at} />
  );
}

function Token(props: {
  readonly token: NonNullable<IClusterDetail['registration_token']>;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { token, trans } = props;
  const state = stateWord(token.state, trans);
  return (
    <>
      {token.hint},{' '}
      {token.state === 'valid'
        ? trans.__('valid until %1', formatAbsolute(token.expires_at))
        : state}
    </>
  );
}

function stateWord(
  state: 'valid' | 'used' | 'expired' | 'revoked',
  trans: TranslationBundle
): string {
  const words = {
    valid: trans.__('valid'),
    used: trans.__('used'),
    expired: trans.__('expired'),
    revoked: trans.__('revoked')
  };
  return words[state];
}

function Inside(props: IPartProps & { readonly model: ClusterDetailModel }): React.ReactElement {
  const { cluster, model, trans } = props;
  return (
    <>
      <h2>{trans.__('Queues')}</h2>
      <Queues queues={cluster.queues} trans={trans} />
      <h2>{trans.__('Quotas of projects')}</h2>
      <Quotas cluster={cluster.name} quotas={model.quotas} trans={trans} />
      <h2>{trans.__('Nodes')}</h2>
      <Nodes nodes={cluster.node_list} total={cluster.nodes?.total ?? 0} trans={trans} />
    </>
  );
}
