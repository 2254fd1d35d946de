import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IPerijoveClient } from '../api';
import { OPEN_PANEL, perijoveIcon } from '../core';
import { PANEL_ID, PerijoveSidePanel } from './panel';
import { RunningJobs } from './running';
import { RunningStatus } from './RunningStatus';
import { IPerijovePanel } from './tokens';

/** Third-party side panels rank from 501 to 899. */
const PANEL_RANK = 600;

/** The panel in the side bar. */
export const panelPlugin: JupyterFrontEndPlugin<IPerijovePanel> = {
  id: '@perijove/labextension:panel',
  description: 'The Perijove panel in the side bar.',
  autoStart: true,
  requires: [IPerijoveClient],
  optional: [ILayoutRestorer, ICommandPalette, ILauncher, ITranslator],
  provides: IPerijovePanel,
  activate: (
    app: JupyterFrontEnd,
    client: IPerijoveClient,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    maybeTranslator: ITranslator | null
  ): IPerijovePanel => {
    const translator = maybeTranslator ?? nullTranslator;
    const trans = translator.load('perijove');
    const category = trans.__('Perijove');
    const panel = new PerijoveSidePanel(client, app.commands, translator);
    const running = new RunningJobs(client);
    app.shell.add(panel, 'left', { rank: PANEL_RANK, type: 'Perijove' });
    restorer?.add(panel, PANEL_ID);

    const show = (sectionId?: string): void => {
      app.shell.activateById(PANEL_ID);
      if (sectionId) {
        panel.expand(sectionId);
      }
    };
    app.commands.addCommand(OPEN_PANEL, {
      label: args =>
        args.isLauncher ? trans.__('Models and data') : trans.__('Show the Perijove panel'),
      caption: trans.__('Models, files, jobs and vector stores'),
      icon: perijoveIcon,
      describedBy: {
        args: {
          type: 'object',
          properties: {
            section: { type: 'string', description: 'Id of the section to open' },
            isLauncher: { type: 'boolean', description: 'Whether the launcher asks' }
          }
        }
      },
      execute: args => show(typeof args.section === 'string' ? args.section : undefined)
    });
    palette?.addItem({ command: OPEN_PANEL, category });
    launcher?.add({
      command: OPEN_PANEL,
      category,
      rank: 1,
      args: { isLauncher: true }
    });

    running.changed.connect((_, count) => {
      panel.title.dataset = count > 0 ? { perijoveRunning: String(count) } : {};
    }, running);
    // Nothing is asked of the platform before Lab itself stands.
    void app.restored.then(() => running.start());
    return { addSection: section => panel.addSection(section), show, running };
  }
};

/** Running jobs in the status bar. */
export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: '@perijove/labextension:status',
  description: 'Shows the running jobs of the Perijove platform in the status bar.',
  autoStart: true,
  requires: [IPerijovePanel],
  optional: [IStatusBar, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    panel: IPerijovePanel,
    statusBar: IStatusBar | null,
    translator: ITranslator | null
  ): void => {
    if (!statusBar) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('perijove');
    const item = new RunningStatus(panel.running, () => panel.show('perijove-jobs'), trans);
    statusBar.registerStatusItem('@perijove/labextension:running', {
      item,
      align: 'left',
      rank: 50,
      isActive: () => panel.running.count > 0,
      activeStateChanged: item.activeChanged
    });
  }
};
