import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import {
  addIcon,
  copyIcon,
  deleteIcon,
  launchIcon,
  redoIcon,
  refreshIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { ApiError, ICluster, IPerijoveClient } from '../api';
import {
  argIds,
  attempt,
  confirmDelete,
  copyText,
  IDetailRegistry,
  IPerijovePreferences,
  ObjectListModel,
  ROWS_SCHEMA
} from '../core';
import { ClustersApi } from './api';
import * as ids from './ids';
import { kubeconfigCommand } from './joining';

/** What the commands of clusters work with. */
export interface IClusterContext {
  readonly commands: CommandRegistry;
  readonly client: IPerijoveClient;
  readonly model: ObjectListModel<ICluster>;
  readonly api: ClustersApi;
  readonly details: IDetailRegistry;
  readonly preferences: IPerijovePreferences;
  readonly trans: TranslationBundle;
}

/** The commands of clusters. With `ids` they act on those clusters, else on the selected ones. */
export function addClusterCommands(context: IClusterContext): void {
  addCreating(context);
  addOpening(context);
  addAccess(context);
  addDeleting(context);
}

function addCreating(context: IClusterContext): void {
  const { commands, model, trans } = context;
  const none = { args: { type: 'object', properties: {} } } as const;
  commands.addCommand(ids.REGISTER_CLUSTER, {
    label: trans.__('Register a cluster…'),
    caption: trans.__('Let jobs run on a Kubernetes cluster'),
    icon: addIcon,
    describedBy: none,
    execute: async () => (await import('./dialogs')).registerCluster(context)
  });
  commands.addCommand(ids.REFRESH_CLUSTERS, {
    label: trans.__('Refresh the clusters'),
    icon: refreshIcon,
    describedBy: none,
    execute: () => model.reload()
  });
}

function addOpening(context: IClusterContext): void {
  const { commands, details, model, trans } = context;
  const chosen = (args: ReadonlyPartialJSONObject): readonly string[] =>
    argIds(args) ?? model.selected.map(cluster => cluster.id);
  commands.addCommand(ids.OPEN_CLUSTER, {
    label: trans.__('Open'),
    icon: launchIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => chosen(args).length > 0,
    execute: async args => {
      for (const id of chosen(args)) {
        await details.open(ids.CLUSTER_KIND, id);
      }
    }
  });
  commands.addCommand(ids.COPY_KUBECONFIG, {
    label: trans.__('Copy the kubeconfig command'),
    caption: trans.__('Copy the command that lets kubectl reach the cluster through the platform'),
    icon: copyIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => registered(context, args).length === 1,
    execute: args => copyText(kubeconfigCommand(registered(context, args)[0].name), trans)
  });
}

function addAccess(context: IClusterContext): void {
  const { commands, trans } = context;
  commands.addCommand(ids.ROTATE_TOKEN, {
    label: trans.__('New registration token…'),
    caption: trans.__('Make a token by which an agent joins the cluster'),
    icon: redoIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => registered(context, args).length === 1,
    execute: async args => {
      const [cluster] = registered(context, args);
      await (await import('./dialogs')).rotateToken(context, cluster);
    }
  });
  commands.addCommand(ids.REVOKE_CLUSTER, {
    label: trans.__('Revoke the agent’s access…'),
    icon: stopIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => {
      const chosen = registered(context, args);
      return chosen.length > 0 && chosen.every(cluster => cluster.state !== 'revoked');
    },
    execute: args => revoke(context, registered(context, args))
  });
}

async function revoke(context: IClusterContext, chosen: readonly ICluster[]): Promise<void> {
  const { api, model, trans } = context;
  const { button } = await showDialog({
    title: trans._n('Revoke this access?', 'Revoke access to %1 clusters?', chosen.length),
    body: [
      chosen.map(cluster => cluster.name).join('\n'),
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
  for (const { id } of button.accept ? chosen : []) {
    await attempt(
      trans.__('The access was not revoked.'),
      async () => model.put(await api.revoke(id)),
      trans
    );
  }
}

function addDeleting(context: IClusterContext): void {
  const { commands, preferences, trans } = context;
  commands.addCommand(ids.DELETE_CLUSTER, {
    label: trans.__('Delete…'),
    icon: deleteIcon,
    describedBy: { args: ROWS_SCHEMA },
    isEnabled: args => registered(context, args).length > 0,
    execute: async args => {
      const chosen = registered(context, args);
      const question = {
        title: trans._n('Delete this cluster?', 'Delete %1 clusters?', chosen.length),
        names: chosen.map(cluster => cluster.name),
        consequence: trans.__(
          'The platform forgets it and its agent is sent away. What runs in the cluster is not touched.'
        )
      };
      const confirmed = chosen.length > 0 && (await confirmDelete(question, preferences, trans));
      for (const cluster of confirmed ? chosen : []) {
        const act = (): Promise<void> => remove(context, cluster);
        await attempt(trans.__('The cluster was not deleted.'), act, trans);
      }
    }
  });
}

async function remove(context: IClusterContext, { id }: ICluster): Promise<void> {
  const { api, model, details, trans } = context;
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
      return;
    }
    await api.delete(id, true);
  }
  model.remove(id);
  details.close(ids.CLUSTER_KIND, id);
}

/** The chosen clusters, unless one of them is the platform's own machine, which has no agent. */
function registered(
  { model }: IClusterContext,
  args: ReadonlyPartialJSONObject
): readonly ICluster[] {
  const chosen = argIds(args)?.map(id => model.find(id)) ?? model.selected;
  const known = chosen.filter((cluster): cluster is ICluster => cluster !== undefined);
  return known.every(cluster => cluster.kind === 'kubernetes') ? known : [];
}
