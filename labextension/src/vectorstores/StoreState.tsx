import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useNow } from '../core/clock';
import { formatAbsolute, formatRelative } from '../core/format';
import { IStoreFile, IVectorStore } from './types';

const SIGNS: Readonly<Record<string, string>> = {
  in_progress: '◐',
  completed: '✓',
  failed: '✕',
  cancelled: '⊘',
  expired: '○'
};

/** A state in the person's language. */
export function stateLabel(
  status: IVectorStore['status'] | IStoreFile['status'],
  trans: TranslationBundle
): string {
  switch (status) {
    case 'in_progress':
      return trans.__('Indexing');
    case 'completed':
      return trans.__('Ready');
    case 'failed':
      return trans.__('Failed');
    case 'cancelled':
      return trans.__('Cancelled');
    case 'expired':
      return trans.__('Expired');
  }
}

/** The state by colour, sign and word. */
export function StateBadge(props: {
  status: IVectorStore['status'] | IStoreFile['status'];
  trans: TranslationBundle;
}): JSX.Element {
  const { status, trans } = props;
  return (
    <span className={`jp-PerijoveStore-state jp-mod-${status}`}>
      <span aria-hidden="true">{SIGNS[status] ?? '•'}</span> {stateLabel(status, trans)}
    </span>
  );
}

/** How many files are ready, in a few words. */
export function fileCounts(store: IVectorStore, trans: TranslationBundle): string {
  const { completed, failed, total } = store.file_counts;
  if (total === 0) {
    return trans.__('no files');
  }
  const words =
    completed === total
      ? trans._n('%1 file', '%1 files', total, total)
      : trans.__('%1 of %2 files', completed, total);
  return failed > 0 ? `${words}, ${trans.__('%1 failed', failed)}` : words;
}

/** When a store expires, as a relative time that moves on. */
export function Expiry(props: {
  at: IVectorStore['expires_at'];
  trans: TranslationBundle;
}): JSX.Element {
  const { at, trans } = props;
  const now = useNow();
  return at === null ? (
    <span>{trans.__('never')}</span>
  ) : (
    <time dateTime={new Date(at * 1000).toISOString()} title={formatAbsolute(at)}>
      {formatRelative(at, now)}
    </time>
  );
}
