import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IPerijoveClient } from '../api';
import { addCoreCommands } from './commands';
import { DetailRegistry, IDetailRegistry } from './detail';
import { NotebookWriter } from './notebooks';
import { IPerijovePreferences, Preferences } from './preferences';
import { ISnippets, Snippets } from './snippets';

const PLUGIN = '@perijove/labextension:plugin';

/** Provides the settings. */
export const preferencesPlugin: JupyterFrontEndPlugin<IPerijovePreferences> = {
  id: PLUGIN,
  description: 'Provides the settings of the Perijove panels.',
  autoStart: true,
  requires: [IPerijoveClient],
  optional: [ISettingRegistry],
  provides: IPerijovePreferences,
  activate: (
    app: JupyterFrontEnd,
    client: IPerijoveClient,
    registry: ISettingRegistry | null
  ): IPerijovePreferences => {
    const preferences = new Preferences();
    preferences.changed.connect(() => {
      client.uploads.parallelParts = preferences.values.parallelParts;
    }, preferences);
    if (registry) {
      // Without its settings the panel works with the defaults.
      preferences.follow(registry, PLUGIN).catch(() => undefined);
    }
    return preferences;
  }
};

/** Provides code for notebooks. */
export const snippetsPlugin: JupyterFrontEndPlugin<ISnippets> = {
  id: '@perijove/labextension:snippets',
  description: 'Provides code that works with objects of the Perijove platform.',
  autoStart: true,
  requires: [IPerijovePreferences],
  optional: [INotebookTracker, ITranslator],
  provides: ISnippets,
  activate: (
    app: JupyterFrontEnd,
    preferences: IPerijovePreferences,
    notebooks: INotebookTracker | null,
    translator: ITranslator | null
  ): ISnippets =>
    new Snippets(
      new NotebookWriter(app, notebooks),
      preferences,
      (translator ?? nullTranslator).load('perijove')
    )
};

/** Provides tabs for objects and the commands that all kinds share. */
export const detailPlugin: JupyterFrontEndPlugin<IDetailRegistry> = {
  id: '@perijove/labextension:detail',
  description: 'Opens objects of the Perijove platform as tabs.',
  autoStart: true,
  requires: [ISnippets],
  optional: [ILayoutRestorer, ITranslator],
  provides: IDetailRegistry,
  activate: (
    app: JupyterFrontEnd,
    snippets: ISnippets,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ): IDetailRegistry => {
    const details = new DetailRegistry(app.shell);
    const trans = (translator ?? nullTranslator).load('perijove');
    addCoreCommands(app.commands, details, snippets, trans);
    if (restorer) {
      details.restore(restorer);
    }
    return details;
  }
};
