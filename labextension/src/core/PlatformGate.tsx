import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IStatusSource } from '../api';
import { Button } from './Button';
import { attempt } from './notifications';
import { useSignals } from './useSignals';

export interface IGateProps {
  readonly status: IStatusSource;
  readonly trans: TranslationBundle;
}

/**
 * Shows its children once the platform is ready. Before that, and when it goes away later (the children stay,
 * so that nothing typed is lost), it says why and what to do.
 */
export function PlatformGate(
  props: IGateProps & { readonly children: React.ReactNode }
): React.ReactElement {
  useSignals(props.status.changed);
  const ready = props.status.current?.state === 'ready';
  const [wasReady, setWasReady] = React.useState(ready);
  React.useEffect(() => {
    if (ready) {
      setWasReady(true);
    } else {
      void props.status.refresh();
    }
  }, [ready, props.status]);
  return (
    <>
      {!ready && <PlatformMessage {...props} />}
      {(ready || wasReady) && props.children}
    </>
  );
}

/** Why the platform is not there and what to do; nothing when it is. */
export function PlatformMessage(props: IGateProps): React.ReactElement | null {
  const { status, trans } = props;
  useSignals(status.changed);
  const [busy, setBusy] = React.useState(false);
  const current = status.current;
  if (current?.state === 'ready') {
    return null;
  }
  if (current === null || current.state === 'starting') {
    return (
      <div className="jp-PerijoveMessage" role="status">
        <strong>{trans.__('The platform is starting')}</strong>
        <p>{current?.reason ?? trans.__('This takes a few seconds.')}</p>
      </div>
    );
  }
  const act = async (what: string, action: () => Promise<unknown>): Promise<void> => {
    setBusy(true);
    await attempt(what, action, trans);
    setBusy(false);
  };
  return (
    <div className="jp-PerijoveMessage jp-mod-error" role="alert">
      <strong>
        {current.state === 'failed'
          ? trans.__('The platform could not be started')
          : trans.__('The platform does not answer')}
      </strong>
      {current.reason && <p>{current.reason}</p>}
      {current.remedy && <p>{current.remedy}</p>}
      <div className="jp-PerijoveMessage-actions">
        {current.embedded && (
          <Button
            disabled={busy}
            onClick={() =>
              void act(trans.__('The platform was not restarted.'), () => status.restart())
            }
          >
            {trans.__('Restart the platform')}
          </Button>
        )}
        <Button
          disabled={busy}
          onClick={() => void act(trans.__('No answer.'), () => status.refresh())}
        >
          {trans.__('Try again')}
        </Button>
      </div>
    </div>
  );
}
