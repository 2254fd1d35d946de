import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { errorText } from '../api';
import { Button } from '../core/Button';
import { IDataFrame } from './dataframes';

/** The DataFrames of a notebook's kernel. */
export interface IFrameSource {
  /** The notebook's name. */
  readonly notebook: string;
  readonly list: () => Promise<readonly IDataFrame[]>;
  /** Uploads it from its kernel; resolves to the file's id. */
  readonly upload: (name: string) => Promise<string>;
}

/** Takes the training data from a DataFrame of the current notebook. */
export function FrameField(props: {
  source: IFrameSource;
  onUploaded: (fileId: string) => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { source, onUploaded, trans } = props;
  const [frames, setFrames] = React.useState<readonly IDataFrame[] | null>(null);
  const [status, setStatus] = React.useState('');

  const attempt = async (what: string, run: () => Promise<void>) => {
    setStatus(what);
    try {
      await run();
    } catch (error) {
      setStatus(errorText(error) || trans.__('This kernel does not evaluate Python expressions.'));
    }
  };
  const look = () =>
    attempt(trans.__('Looking for DataFrames…'), async () => {
      const found = await source.list();
      setFrames(found);
      setStatus(found.length === 0 ? trans.__('%1 holds no DataFrame yet.', source.notebook) : '');
    });
  const take = (name: string) =>
    attempt(trans.__('Uploading %1 from the kernel…', name), async () => {
      onUploaded(await source.upload(name));
      setStatus(trans.__('%1 is uploaded.', name));
    });

  return (
    <div className="jp-PerijoveEdit-frames">
      <Button onClick={() => void look()}>
        {trans.__('Take a DataFrame of %1…', source.notebook)}
      </Button>
      <span role="status">{status}</span>
      {frames && frames.length > 0 && (
        <ul aria-label={trans.__('DataFrames')}>
          {frames.map(frame => (
            <li key={frame.name}>
              <Button onClick={() => void take(frame.name)}>{frame.name}</Button>{' '}
              {trans._n('%1 row', '%1 rows', frame.rows, frame.rows)} ({frame.columns.join(', ')})
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
