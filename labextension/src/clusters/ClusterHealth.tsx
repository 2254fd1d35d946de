import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ICluster } from '../api';
import { healthOf, healthText } from './words';

/** How a cluster is, as a sign and a word, so that colour alone never tells. */
export function ClusterHealth(props: {
  readonly cluster: ICluster;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { cluster, trans } = props;
  return (
    <span
      className="jp-PerijoveState"
      data-state={healthOf(cluster)}
      title={cluster.state_reason ?? undefined}
    >
      {healthText(cluster, trans)}
    </span>
  );
}
