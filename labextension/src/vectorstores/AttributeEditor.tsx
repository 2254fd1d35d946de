import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { errorText } from '../api/errors';
import { Button } from '../core/Button';
import { checkRows, fromRows, toRows } from './attributes';
import { Attributes } from './types';

/** Edits the attributes of a file in a store; searches can filter by them. */
export function AttributeEditor(props: {
  attributes: Attributes | null;
  save: (attributes: Attributes) => Promise<void>;
  close: () => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { attributes, save, close, trans } = props;
  const [rows, setRows] = React.useState(() => [...toRows(attributes), { key: '', value: '' }]);
  const [refused, setRefused] = React.useState<string | null>(null);
  const problem = checkRows(rows, trans);
  const set = (index: number, change: { key?: string; value?: string }) => {
    const next = rows.map((row, i) => (i === index ? { ...row, ...change } : row));
    const last = next[next.length - 1];
    setRows(last.key || last.value ? [...next, { key: '', value: '' }] : next);
  };
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    try {
      await save(fromRows(rows));
      close();
    } catch (error) {
      setRefused(errorText(error));
    }
  };
  return (
    <form className="jp-PerijoveStore-attributes" onSubmit={event => void submit(event)}>
      {rows.map((row, index) => (
        <div key={index}>
          <input
            type="text"
            className="jp-mod-styled"
            value={row.key}
            placeholder={trans.__('name')}
            aria-label={trans.__('Name of attribute %1', index + 1)}
            onChange={event => set(index, { key: event.target.value })}
          />
          <input
            type="text"
            className="jp-mod-styled"
            value={row.value}
            placeholder={trans.__('value')}
            aria-label={trans.__('Value of attribute %1', index + 1)}
            onChange={event => set(index, { value: event.target.value })}
          />
        </div>
      ))}
      {(problem ?? refused) && (
        <div role="alert" className="jp-PerijoveEdit-error">
          {problem ?? refused}
        </div>
      )}
      <div className="jp-PerijoveEdit-buttons">
        <Button type="submit" mod="accept" disabled={problem !== null}>
          {trans.__('Save')}
        </Button>
        <Button onClick={close}>{trans.__('Close')}</Button>
      </div>
    </form>
  );
}
