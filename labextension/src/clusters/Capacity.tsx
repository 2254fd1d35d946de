import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ICluster } from '../api';
import { formatBytes } from '../core';
import { shortNumber } from './words';

interface IShare {
  readonly name: string;
  /** What pods ask for it under, where the name does not say it. */
  readonly hint?: string;
  readonly total: number;
  /** Null where nobody knows. */
  readonly free: number | null;
  readonly format: (value: number) => string;
}

/** What a cluster has and what of it is free, as bars with words. */
export function Capacity(props: {
  readonly cluster: ICluster;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { cluster, trans } = props;
  const shares = sharesOf(cluster, trans);
  if (shares.length === 0) {
    return <p className="jp-PerijoveReason">{trans.__('It has not reported yet.')}</p>;
  }
  return (
    <ul className="jp-PerijoveCluster-shares">
      {shares.map(share => (
        <Share key={`${share.name} ${share.hint}`} share={share} trans={trans} />
      ))}
    </ul>
  );
}

function Share(props: {
  readonly share: IShare;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { share, trans } = props;
  const { name, hint, total, free, format } = share;
  const used = free === null ? 0 : total - free;
  const words =
    free === null
      ? format(total)
      : trans.__('%1 of %2 used, %3 free', format(used), format(total), format(free));
  return (
    <li>
      <span title={hint}>{name}</span>
      {/* The words beside it say the same. */}
      <span className="jp-PerijoveCluster-bar" aria-hidden="true">
        <span style={{ width: `${total > 0 ? Math.min(100, (100 * used) / total) : 0}%` }} />
      </span>
      <span>{words}</span>
    </li>
  );
}

function sharesOf(cluster: ICluster, trans: TranslationBundle): readonly IShare[] {
  const { accelerators, capacity } = cluster;
  const shares: IShare[] = accelerators.map(({ type, resource, total, free }) => ({
    name: type,
    hint: resource,
    total,
    free,
    format: String
  }));
  if (capacity === null) {
    return shares;
  }
  if (accelerators.length === 0 && capacity.gpus > 0) {
    const { gpus: total, gpus_free: free } = capacity;
    shares.push({ name: trans.__('GPUs'), total, free, format: String });
  }
  return [
    ...shares,
    {
      name: trans.__('CPUs'),
      total: capacity.cpus,
      free: capacity.cpus_free,
      format: shortNumber
    },
    {
      name: trans.__('Memory'),
      total: capacity.memory_bytes,
      free: capacity.memory_free_bytes,
      format: formatBytes
    }
  ];
}
