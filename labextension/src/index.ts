import { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { clientPlugin } from './api/plugin';
import { chatPlugin } from './chat/plugin';
import { clustersPlugin } from './clusters/plugin';
import { detailPlugin, preferencesPlugin, snippetsPlugin } from './core/plugin';
import { filesPlugin } from './files/plugin';
import { jobsPlugin } from './jobs/plugin';
import { modelsPlugin } from './models/plugin';
import { panelPlugin, statusPlugin } from './sidebar/plugin';
import { vectorStoresPlugin } from './vectorstores/plugin';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  clientPlugin,
  preferencesPlugin,
  snippetsPlugin,
  detailPlugin,
  panelPlugin,
  statusPlugin,
  modelsPlugin,
  filesPlugin,
  jobsPlugin,
  vectorStoresPlugin,
  clustersPlugin,
  chatPlugin
];

export default plugins;
