import { ISignal } from '@lumino/signaling';
import * as React from 'react';

/** Render again whenever one of the signals is emitted. The number of signals must not change. */
export function useSignals(...signals: readonly ISignal<unknown, unknown>[]): void {
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = (): void => render();
    signals.forEach(signal => signal.connect(slot));
    // Something may have been emitted between rendering and this effect.
    render();
    return () => signals.forEach(signal => void signal.disconnect(slot));
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, signals);
}
