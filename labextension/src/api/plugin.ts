import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { PerijoveClient } from './client';
import { IPerijoveClient } from './tokens';

/** Provides the connection to the platform. */
export const clientPlugin: JupyterFrontEndPlugin<IPerijoveClient> = {
  id: '@perijove/labextension:client',
  description: 'Provides the connection to the Perijove platform.',
  autoStart: true,
  optional: [ITranslator],
  provides: IPerijoveClient,
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): IPerijoveClient =>
    new PerijoveClient(
      app.serviceManager.serverSettings,
      (translator ?? nullTranslator).load('perijove')
    )
};
