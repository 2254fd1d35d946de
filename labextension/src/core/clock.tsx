import * as React from 'react';

import { formatAbsolute, formatRelative } from './format';

/** How often relative times move on, in ms. */
const TICK = 15_000;

const listeners = new Set<() => void>();
let timer = 0;
let now = Date.now();

function tick(): void {
  if (document.visibilityState === 'visible') {
    now = Date.now();
    listeners.forEach(listener => listener());
  }
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    now = Date.now();
    timer = window.setInterval(tick, TICK);
    document.addEventListener('visibilitychange', tick);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      document.removeEventListener('visibilitychange', tick);
    }
  };
}

/** The time in ms, moving on for all at once. */
export function useNow(): number {
  return React.useSyncExternalStore(subscribe, () => now);
}

/** A moment as a relative time that ticks, in full on hover. `at` in seconds since 1970. */
export function RelativeTime(props: {
  readonly at: number | null | undefined;
}): React.ReactElement {
  const current = useNow();
  if (props.at === null || props.at === undefined) {
    return <span>–</span>;
  }
  // A row that was just made is never in the future because two clocks differ a little.
  const moment = Math.max(current, props.at * 1000);
  return (
    <time dateTime={new Date(props.at * 1000).toISOString()} title={formatAbsolute(props.at)}>
      {formatRelative(props.at, moment)}
    </time>
  );
}
