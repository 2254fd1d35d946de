import { Dialog, showDialog } from '@jupyterlab/apputils';
import { addIcon, copyIcon, redoIcon, stopIcon } from '@jupyterlab/ui-components';

import { ApiError, ICluster } from '../api';
import { copyText, NO_ARGUMENTS, RowCommands } from '../core';
import { IClusterContext } from './context';
import * as ids from './ids';
import { kubeconfigCommand } from './joining';

/** The commands of clusters. With `ids` they act on those clusters, else on the selected ones. */
export function addClusterCommands(context: IClusterContext): void {
  const { commands, trans } = context;
  const rows = new RowCommands(ids.CLUSTER_KIND, context);
  commands.addCommand(ids.REGISTER_CLUSTER, {
    label: trans.__('Register a cluster…'),
    caption: trans.__('Let jobs run on a Kubernetes cluster'),
    icon: addIcon,
    describedBy: NO_ARGUMENTS,
    execute: async () => (await dialogs()).registerCluster(context)
  });
  rows.addRefresh(ids.REFRESH_CLUSTERS, trans.__('Refresh the clusters'));
  rows.addOpen(ids.OPEN_CLUSTER, trans.__('Open'));
  addAccess(context, rows);
  addDeleting(context, rows);
}

function addAccess(context: IClusterContext, rows: RowCommands<ICluster>): void {
  const { api, model, trans } = context;
  rows.add(ids.COPY_KUBECONFIG, {
    label: trans.__('Copy the kubeconfig command'),
    caption: trans.__('Copy the command that lets kubectl reach the cluster through the platform'),
    icon: copyIcon,
    single: true,
    fits: registered,
    execute: ([id]) => copyText(kubeconfigCommand(model.find(id)?.name ?? id), trans)
  });
  rows.add(ids.ROTATE_TOKEN, {
    label: trans.__('New registration token…'),
    caption: trans.__('Make a token by which an agent joins the cluster'),
    icon: redoIcon,
    single: true,
    fits: registered,
    execute: async ([id]) => {
      const cluster = model.find(id);
      if (cluster) {
        await (await dialogs()).rotateToken(context, cluster);
      }
    }
  });
  rows.add(ids.REVOKE_CLUSTER, {
    label: trans.__('Revoke the agent’s access…'),
    icon: stopIcon,
    fits: cluster => registered(cluster) && cluster?.state !== 'revoked',
    execute: async chosen => {
      if (await confirmRevoke(context, chosen)) {
        const failure = trans.__('The access was not revoked.');
        await rows.each(chosen, failure, id => api.revoke(id));
      }
    }
  });
}

async function confirmRevoke(
  { model, trans }: IClusterContext,
  chosen: readonly string[]
): Promise<boolean> {
  const { button } = await showDialog({
    title: trans._n('Revoke this access?', 'Revoke access to %1 clusters?', chosen.length),
    body: [
      chosen.map(id => model.find(id)?.name ?? id).join('\n'),
      trans.__(
        'The agent is sent away and its registration token ended. Jobs that run there go on, but nobody hears of them until an agent joins with a new token.'
      )
    ].join('\n\n'),
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Revoke') })
    ],
    defaultButton: 0
  });
  return button.accept;
}

function addDeleting(context: IClusterContext, rows: RowCommands<ICluster>): void {
  const { trans } = context;
  rows.addDelete(ids.DELETE_CLUSTER, {
    fits: registered,
    question: count => ({
      title: trans._n('Delete this cluster?', 'Delete %1 clusters?', count),
      consequence: trans.__(
        'The platform forgets it and its agent is sent away. What runs in the cluster is not touched.'
      )
    }),
    name: cluster => cluster.name,
    failure: trans.__('The cluster was not deleted.'),
    delete: id => remove(context, id)
  });
}

/** @returns false when jobs run there and the person lets them */
async function remove({ api, trans }: IClusterContext, id: string): Promise<boolean> {
  try {
    await api.delete(id, false);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'cluster_in_use') {
      throw error;
    }
    const { button } = await showDialog({
      title: trans.__('Delete it all the same?'),
      body: error.message,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Keep it') }),
        Dialog.warnButton({ label: trans.__('Delete, and let the jobs fail') })
      ],
      defaultButton: 0
    });
    if (!button.accept) {
      return false;
    }
    await api.delete(id, true);
  }
  return true;
}

/** Whether it is a registered cluster; the platform's own machine has no agent. */
function registered(cluster: ICluster | undefined): boolean {
  return cluster?.kind === 'kubernetes';
}

/** Dialogs are loaded when the first is needed. */
function dialogs() {
  return import(/* webpackChunkName: "tabs" */ './dialogs');
}
