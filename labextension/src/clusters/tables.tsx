import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IClusterNode, IClusterQueue, IQuota } from '../api';
import { RelativeTime, Table } from '../core';
import { quotaCommand } from './joining';
import { amount, amounts, nodeState } from './words';

/** The ClusterQueues of Kueue. */
export function Queues(props: {
  readonly queues: readonly IClusterQueue[];
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { queues, trans } = props;
  return (
    <Table
      titles={[
        trans.__('Queue'),
        trans.__('State'),
        trans.__('Waiting'),
        trans.__('Admitted'),
        trans.__('Used of its quota')
      ]}
      empty={trans.__('There are no queues yet: a project’s is made with its first job.')}
      rows={queues.map(queue => [
        <span key="name" title={queue.project_id ?? trans.__('Not of this platform')}>
          {queue.name}
        </span>,
        queue.active ? trans.__('Active') : (queue.reason ?? trans.__('Stopped')),
        queue.pending,
        queue.admitted,
        amounts(queue.quota, queue.used, trans)
      ])}
    />
  );
}

/** What is set aside for projects. */
export function Quotas(props: {
  readonly cluster: string;
  readonly quotas: readonly IQuota[];
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { cluster, quotas, trans } = props;
  return (
    <>
      <Table
        titles={[
          trans.__('Project'),
          trans.__('Set aside'),
          trans.__('Cohort'),
          trans.__('Changed')
        ]}
        empty={trans.__('Nothing is set aside: every project uses what the others leave.')}
        rows={quotas.map(quota => [
          quota.project_id,
          amounts(quota.resources, null, trans),
          quota.cohort ?? trans.__('None: it gets no more than this'),
          <RelativeTime key="changed" at={quota.updated_at} />
        ])}
      />
      <p className="jp-PerijoveReason">
        {trans.__('Set one with:')} <code>{quotaCommand(cluster)}</code>
      </p>
    </>
  );
}

/** The nodes, with what is wrong with them. */
export function Nodes(props: {
  readonly nodes: readonly IClusterNode[];
  readonly total: number;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { nodes, total, trans } = props;
  const share = (node: IClusterNode, resource: string): string =>
    trans.__(
      '%1 of %2',
      amount(resource, node.used[resource] ?? '0'),
      amount(resource, node.allocatable[resource] ?? '0')
    );
  return (
    <>
      <Table
        titles={[
          trans.__('Node'),
          trans.__('State'),
          trans.__('CPUs used'),
          trans.__('Memory used'),
          trans.__('Accelerator'),
          trans.__('Kubelet')
        ]}
        empty={trans.__('No node has been reported.')}
        rows={nodes.map(node => [
          node.name,
          nodeState(node, trans),
          share(node, 'cpu'),
          share(node, 'memory'),
          node.accelerator,
          node.kubelet_version
        ])}
      />
      {total > nodes.length && (
        <p className="jp-PerijoveReason">
          {trans.__('The first %1 of %2 nodes are shown.', nodes.length, total)}
        </p>
      )}
    </>
  );
}
