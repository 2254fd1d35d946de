import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IModel, ModelState } from '../api';

/** The state in a word. */
export function stateText(model: IModel, trans: TranslationBundle): string {
  const words: Record<ModelState, string> = {
    pulling: trans.__('Pulling'),
    available: trans.__('Not loaded'),
    loading: trans.__('Loading'),
    loaded: trans.__('Loaded'),
    failed: trans.__('Failed')
  };
  const share = pulledShare(model);
  return share === null ? words[model.state] : trans.__('Pulling %1 %', Math.floor(share * 100));
}

/** How much of a pull is done, 0 to 1; `null` when no pull is under way or its size is not known. */
export function pulledShare(model: IModel): number | null {
  const total = model.progress?.total_bytes;
  if (model.state !== 'pulling' || !model.progress || !total) {
    return null;
  }
  return Math.min(1, model.progress.bytes / total);
}

/** The state as a sign and a word, so that colour alone never tells. */
export function ModelStateView(props: {
  readonly model: IModel;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { model, trans } = props;
  return (
    <span
      className="jp-PerijoveState"
      data-state={model.state}
      title={model.state_reason ?? undefined}
    >
      {stateText(model, trans)}
    </span>
  );
}
