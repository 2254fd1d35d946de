export const REGISTER_CLUSTER = 'perijove:register-cluster';
export const OPEN_CLUSTER = 'perijove:open-cluster';
export const COPY_KUBECONFIG = 'perijove:copy-kubeconfig-command';
export const ROTATE_TOKEN = 'perijove:rotate-cluster-token';
export const REVOKE_CLUSTER = 'perijove:revoke-cluster';
export const DELETE_CLUSTER = 'perijove:delete-cluster';
export const REFRESH_CLUSTERS = 'perijove:refresh-clusters';

/** The kind of details and snippets of clusters. */
export const CLUSTER_KIND = 'cluster';

/** Commands of registered clusters: of their context menu, their tab and, with others, the toolbar. */
export const ROW_COMMANDS = [COPY_KUBECONFIG, ROTATE_TOKEN, REVOKE_CLUSTER, DELETE_CLUSTER];
