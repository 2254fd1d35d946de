import { addIcon, copyIcon, deleteIcon, redoIcon, stopIcon } from '@jupyterlab/ui-components';

import { ICluster } from '../api';
import { ObjectListModel, perijoveIcon } from '../core';
import { addObjectKind, objectPlugin } from '../sidebar';
import { CLUSTERS, ClustersApi } from './api';
import { addClusterCommands } from './commands';
import { IClusterContext } from './context';
import * as ids from './ids';
import { clusterSnippets } from './snippets';

/** Clusters: the list, a cluster's tab, the dialogs that let agents in and send them away. */
export const clustersPlugin = objectPlugin({
  name: 'clusters',
  description: 'Clusters of the Perijove platform.',
  activate: (host): void => {
    const { client, snippets, trans } = host;
    const model = new ObjectListModel<ICluster>(client, {
      path: CLUSTERS,
      object: 'cluster',
      leads: cluster => cluster.kind === 'local'
    });
    const context: IClusterContext = { ...host, model, api: new ClustersApi(client) };
    addClusterCommands(context);
    addObjectKind(host, {
      model,
      followers: ids.ROW_COMMANDS,
      palette: [ids.REGISTER_CLUSTER, ids.REFRESH_CLUSTERS],
      snippets: clusterSnippets(model),
      detail: {
        kind: ids.CLUSTER_KIND,
        icon: perijoveIcon,
        label: () => trans.__('Cluster'),
        create: async id => {
          const { createDetail } = await import(/* webpackChunkName: "tabs" */ './detail');
          return createDetail(id, context);
        }
      },
      section: {
        id: 'perijove-clusters',
        title: trans.__('Clusters'),
        rank: 50,
        toolbar: [
          {
            command: ids.COPY_KUBECONFIG,
            icon: copyIcon,
            label: trans.__('Copy the kubeconfig command of the selected cluster')
          },
          {
            command: ids.ROTATE_TOKEN,
            icon: redoIcon,
            label: trans.__('New registration token for the selected cluster')
          },
          {
            command: ids.REVOKE_CLUSTER,
            icon: stopIcon,
            label: trans.__('Revoke the access of the selected clusters’ agents')
          },
          {
            command: ids.DELETE_CLUSTER,
            icon: deleteIcon,
            label: trans.__('Delete the selected clusters')
          },
          { command: ids.REGISTER_CLUSTER, icon: addIcon, label: trans.__('Register a cluster') }
        ],
        create: async () => {
          const { createSection } = await import(/* webpackChunkName: "sections" */ './section');
          return createSection(context, snippets);
        }
      }
    });
  }
});
