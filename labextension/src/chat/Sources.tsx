import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ISource } from './transcript';

/** The passages that an answer rests on, folded. */
export function Sources(props: {
  sources: readonly ISource[];
  trans: TranslationBundle;
}): JSX.Element {
  const { sources, trans } = props;
  if (sources.length === 0) {
    return (
      <div className="jp-PerijoveChat-note">
        {trans.__('Nothing was found in the vector stores for this question.')}
      </div>
    );
  }
  return (
    <details className="jp-PerijoveChat-sources">
      <summary>{trans._n('%1 source', '%1 sources', sources.length, sources.length)}</summary>
      <ol>
        {sources.map((source, index) => (
          <li key={`${source.fileId}-${index}`}>
            <b>{source.filename}</b>
            {source.score !== null && (
              <span className="jp-PerijoveChat-score">{source.score.toFixed(3)}</span>
            )}
            <blockquote>{source.text}</blockquote>
          </li>
        ))}
      </ol>
    </details>
  );
}
