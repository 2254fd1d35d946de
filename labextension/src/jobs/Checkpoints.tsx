import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

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
  if (checkpoints.length === 0) {
    return (
      <p className="jp-PerijoveJob-none">
        {ended
          ? trans.__('No checkpoint was saved.')
          : trans.__('No checkpoint has been saved yet.')}
      </p>
    );
  }
  const metric = (checkpoint: ICheckpoint, name: string) => {
    const value = checkpoint.metrics[name];
    return typeof value === 'number' ? formatValue(value) : '–';
  };
  return (
    <div className="jp-PerijoveJob-tableScroll" tabIndex={0}>
      <table className="jp-PerijoveJob-table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Step')}</th>
            <th scope="col">{trans.__('Training loss')}</th>
            <th scope="col">{trans.__('Validation loss')}</th>
            <th scope="col">{trans.__('Saved')}</th>
            <th scope="col">{trans.__('Name')}</th>
          </tr>
        </thead>
        <tbody>
          {checkpoints.map(checkpoint => (
            <tr key={checkpoint.id}>
              <td>{checkpoint.step_number}</td>
              <td>{metric(checkpoint, 'train_loss')}</td>
              <td>{metric(checkpoint, 'valid_loss')}</td>
              <td>{new Date(checkpoint.created_at * 1000).toLocaleString()}</td>
              <td>
                <code>{checkpoint.fine_tuned_model_checkpoint}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
