import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

import { PerijoveClient } from './client';
import { IPerijoveClient } from './tokens';

/** Provides the connection to the platform. */
export const clientPlugin: JupyterFrontEndPlugin<IPerijoveClient> = {
  id: '@perijove/labextension:client',
  description: 'Provides the connection to the Perijove platform.',
  autoStart: true,
  provides: IPerijoveClient,
  activate: (app: JupyterFrontEnd): IPerijoveClient =>
    new PerijoveClient(app.serviceManager.serverSettings)
};
