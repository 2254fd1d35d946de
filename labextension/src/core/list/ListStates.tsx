import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyJSONObject } from '@lumino/coreutils';
import * as React from 'react';

import { Button } from '../Button';

/** What an empty list says: what it is for and what to do next. */
export interface IEmptyState {
  readonly title: string;
  readonly text: string;
  readonly actions: readonly {
    readonly label: string;
    readonly command: string;
    readonly args?: ReadonlyJSONObject;
  }[];
}

export function EmptyState(
  props: IEmptyState & { readonly commands: CommandRegistry }
): React.ReactElement {
  return (
    <div className="jp-PerijoveMessage">
      <strong>{props.title}</strong>
      <p>{props.text}</p>
      <div className="jp-PerijoveMessage-actions">
        {props.actions.map(action => (
          <Button
            key={action.label}
            onClick={() => void props.commands.execute(action.command, action.args)}
          >
            {action.label}
          </Button>
        ))}
      </div>
    </div>
  );
}

export function ListProgress(props: { readonly trans: TranslationBundle }): React.ReactElement {
  return (
    <div className="jp-PerijoveMessage" role="status">
      <p>{props.trans.__('Loading…')}</p>
    </div>
  );
}

/** A request failed: why, and the way to try again. */
export function ListFailure(props: {
  readonly error: string;
  readonly onRetry: () => void;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  return (
    <div className="jp-PerijoveMessage jp-mod-error" role="alert">
      <p>{props.error}</p>
      <Button onClick={props.onRetry}>{props.trans.__('Try again')}</Button>
    </div>
  );
}

/** What stands in the place of something that has not been read: that it comes, or why not. */
export function Pending(props: {
  readonly error: string | null;
  readonly onRetry: () => void;
  readonly trans: TranslationBundle;
}): React.ReactElement {
  const { error, onRetry, trans } = props;
  return error ? (
    <ListFailure error={error} onRetry={onRetry} trans={trans} />
  ) : (
    <ListProgress trans={trans} />
  );
}
