import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IJobEvent } from './types';

/** What happened to the job, newest first. */
export function EventsTimeline(props: {
  events: readonly IJobEvent[];
  trans: TranslationBundle;
}): JSX.Element {
  const { events, trans } = props;
  if (events.length === 0) {
    return <p className="jp-PerijoveJob-none">{trans.__('Nothing has happened yet.')}</p>;
  }
  return (
    <ol className="jp-PerijoveJob-events">
      {events.map(event => {
        const date = new Date(event.created_at * 1000);
        return (
          <li key={event.id} className={`jp-mod-${event.level}`}>
            <time dateTime={date.toISOString()} title={date.toLocaleString()}>
              {date.toLocaleTimeString()}
            </time>
            <span>
              {event.level !== 'info' && (
                <b>{event.level === 'error' ? trans.__('Error') : trans.__('Warning')} </b>
              )}
              {event.message}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
