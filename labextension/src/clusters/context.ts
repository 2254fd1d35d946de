import { ICluster, IPerijoveClient } from '../api';
import { IRowsContext } from '../core';
import { ClustersApi } from './api';

/** What the commands, dialogs and views of clusters work with. */
export interface IClusterContext extends IRowsContext<ICluster> {
  readonly client: IPerijoveClient;
  readonly api: ClustersApi;
}
