import { LabIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyJSONObject } from '@lumino/coreutils';
import { ISignal } from '@lumino/signaling';
import * as React from 'react';

import { Button } from './Button';
import { useSignals } from './useSignals';

/** A button that runs a command, labelled and enabled as the command says. */
export function CommandButton(props: {
  readonly commands: CommandRegistry;
  readonly command: string;
  readonly args: ReadonlyJSONObject;
  /** Emitted when the command's state may have changed. */
  readonly changed: ISignal<unknown, unknown>;
}): React.ReactElement | null {
  const { commands, command, args } = props;
  useSignals(props.changed, commands.commandChanged);
  if (!commands.hasCommand(command) || !commands.isVisible(command, args)) {
    return null;
  }
  const icon = commands.icon(command, args);
  return (
    <Button
      title={commands.caption(command, args) || undefined}
      disabled={!commands.isEnabled(command, args)}
      onClick={() => void commands.execute(command, args)}
    >
      {icon instanceof LabIcon && <icon.react tag="span" />}
      {commands.label(command, args)}
    </Button>
  );
}
