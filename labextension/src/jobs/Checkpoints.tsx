import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Table } from '../core/Table';
import { formatValue } from '../plot/scale';
import { ICheckpoint } from './types';

/** What the job has saved on its way. */
export function Checkpoints(props: {
  checkpoints: readonly ICheckpoint[];
  /** Whether no more will come. */
  ended: boolean;
  trans: TranslationBundle;
}): JSX.Element {
  const { checkpoints, ended, trans } = props;
  const metric = (checkpoint: ICheckpoint, name: string) => {
    const value = checkpoint.metrics[name];
    return typeof value === 'number' ? formatValue(value) : '–';
  };
  return (
    <Table
      titles={[
        trans.__('Step'),
        trans.__('Training loss'),
        trans.__('Validation loss'),
        trans.__('Saved'),
        trans.__('Name')
      ]}
      empty={
        ended ? trans.__('No checkpoint was saved.') : trans.__('No checkpoint has been saved yet.')
      }
      rows={checkpoints.map(checkpoint => [
        checkpoint.step_number,
        metric(checkpoint, 'train_loss'),
        metric(checkpoint, 'valid_loss'),
        new Date(checkpoint.created_at * 1000).toLocaleString(),
        <code key="name">{checkpoint.fine_tuned_model_checkpoint}</code>
      ])}
    />
  );
}
