import * as React from 'react';

import { ApiError, errorText, IObject, IPerijoveClient, IPlatformEvent } from '../api';

/** One object of the platform as it stands. */
export interface ILoaded<T> {
  readonly value: T | null;
  /** Why it could not be read. */
  readonly error: string | null;
  /** Whether it does not exist (any more). */
  readonly gone: boolean;
  readonly reload: () => void;
}

/** Read one object and keep it fresh by the platform's events. `object` names the events, e.g. `file`. */
export function useObject<T extends IObject>(
  client: IPerijoveClient,
  path: string,
  object: string,
  id: string
): ILoaded<T> {
  const [loaded, setLoaded] = React.useState<Omit<ILoaded<T>, 'reload'>>({
    value: null,
    error: null,
    gone: false
  });
  const reload = React.useCallback(() => {
    client.request<T>(path).then(
      value => setLoaded({ value, error: null, gone: false }),
      error => {
        const gone = error instanceof ApiError && error.status === 404;
        setLoaded(old => ({ value: old.value, error: errorText(error), gone }));
      }
    );
  }, [client, path]);

  React.useEffect(() => {
    const onEvent = (_: unknown, event: IPlatformEvent<T>): void => {
      if (event.object_id !== id) {
        return;
      }
      const gone = event.type.endsWith('.deleted');
      setLoaded(old => ({ value: gone ? old.value : event.data, error: null, gone }));
    };
    const changes = client.events.changes<T>(object);
    changes.connect(onEvent);
    client.events.reset.connect(reload);
    reload();
    return () => {
      changes.disconnect(onEvent);
      client.events.reset.disconnect(reload);
    };
  }, [client, object, id, reload]);

  return { ...loaded, reload };
}
