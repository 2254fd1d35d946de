import { ICluster } from '../api';
import { curlSnippet, ObjectListModel, SnippetMaker } from '../core';

/** Code that runs something on a cluster, or looks at it. */
export function clusterSnippets(clusters: ObjectListModel<ICluster>): SnippetMaker {
  const name = (id: string): string => clusters.find(id)?.name ?? id;
  return {
    client: id =>
      ['import perijove', '', `perijove.fine_tune(df, on=${JSON.stringify(name(id))})`].join('\n'),
    magic: () => '%load_ext perijove\n%perijove clusters',
    curl: id => curlSnippet(`/v1/clusters/${id}`)
  };
}
