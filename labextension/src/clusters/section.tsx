import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { ICluster } from '../api';
import { asSection, IColumn, ISnippets, ObjectList, useSignals } from '../core';
import { ClusterHealth } from './ClusterHealth';
import { IClusterContext } from './context';
import * as ids from './ids';
import { capacityText, healthText } from './words';

/** The list of clusters in the side panel. */
export function createSection(context: IClusterContext, snippets: ISnippets): Widget {
  return asSection(<Section context={context} snippets={snippets} />);
}

function Section(props: {
  readonly context: IClusterContext;
  readonly snippets: ISnippets;
}): React.ReactElement {
  const { commands, model, trans } = props.context;
  useSignals(model.changed);
  const empty = {
    title: trans.__('No clusters'),
    text: trans.__('Jobs run on this machine. Register a Kubernetes cluster to run them there.'),
    actions: [{ label: trans.__('Register a cluster…'), command: ids.REGISTER_CLUSTER }]
  };
  const columns = React.useMemo(() => clusterColumns(trans), [trans]);
  const { items } = model;
  const alone = model.state === 'ready' && items.length > 0 && items.every(isLocal);
  return (
    <div className={`jp-PerijoveClusters${alone ? ' jp-mod-alone' : ''}`}>
      <ObjectList
        model={model}
        kind={ids.CLUSTER_KIND}
        label={trans.__('Clusters')}
        columns={columns}
        commands={commands}
        rowCommands={[ids.OPEN_CLUSTER, '-', ...ids.ROW_COMMANDS]}
        openCommand={ids.OPEN_CLUSTER}
        deleteCommand={ids.DELETE_CLUSTER}
        empty={empty}
        name={cluster => cluster.name}
        snippet={cluster => props.snippets.text(ids.CLUSTER_KIND, cluster.id)}
        trans={trans}
      />
      {alone && (
        <p className="jp-PerijoveCluster-alone">
          {empty.text}{' '}
          <button
            className="jp-PerijoveLink"
            onClick={() => void commands.execute(ids.REGISTER_CLUSTER)}
          >
            {empty.actions[0].label}
          </button>
        </p>
      )}
    </div>
  );
}

function isLocal({ kind }: ICluster): boolean {
  return kind === 'local';
}

function clusterColumns(trans: TranslationBundle): readonly IColumn<ICluster>[] {
  return [
    {
      id: 'name',
      title: trans.__('Name'),
      value: cluster => cluster.name,
      render: cluster => <span title={cluster.description ?? cluster.id}>{cluster.name}</span>,
      width: 'minmax(44px, 0.8fr)'
    },
    {
      id: 'state',
      title: trans.__('State'),
      value: cluster => healthText(cluster, trans),
      render: cluster => (
        <>
          <ClusterHealth cluster={cluster} trans={trans} />{' '}
          <span className="jp-PerijoveReason">{cluster.state_reason}</span>
        </>
      ),
      width: 'minmax(92px, 1.2fr)'
    },
    {
      id: 'capacity',
      title: trans.__('Capacity'),
      value: cluster => capacityText(cluster, trans),
      render: cluster => {
        const text = capacityText(cluster, trans);
        return <span title={text}>{text}</span>;
      },
      width: 'minmax(72px, 1fr)'
    },
    {
      id: 'version',
      title: trans.__('Kubernetes'),
      value: cluster => cluster.kubernetes_version ?? '',
      render: cluster => cluster.kubernetes_version,
      width: '84px',
      wide: true
    }
  ];
}
