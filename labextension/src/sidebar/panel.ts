import { CommandToolbarButton, ReactWidget, SidePanel, Toolbar } from '@jupyterlab/ui-components';
import { ITranslator } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { DisposableDelegate, IDisposable } from '@lumino/disposable';
import { AccordionPanel, PanelLayout, Widget } from '@lumino/widgets';
import * as React from 'react';

import { errorText, IPerijoveClient, IPlatformStatus } from '../api';
import { perijoveIcon } from '../core/icons';
import { PlatformMessage } from '../core/PlatformGate';
import { ISection } from './tokens';

export const PANEL_ID = 'perijove-panel';

/** The accordion in the side bar. Its sections are made when it is first seen with the platform ready. */
export class PerijoveSidePanel extends SidePanel {
  readonly #client: IPerijoveClient;
  readonly #commands: CommandRegistry;

  constructor(client: IPerijoveClient, commands: CommandRegistry, translator: ITranslator) {
    super({ translator });
    this.#client = client;
    this.#commands = commands;
    const trans = translator.load('perijove');
    this.id = PANEL_ID;
    this.addClass('jp-PerijovePanel');
    this.title.icon = perijoveIcon;
    this.title.caption = trans.__('Perijove: models, files, jobs, vector stores, clusters');
    const message = ReactWidget.create(
      React.createElement(PlatformMessage, { status: client.status, trans })
    );
    message.addClass('jp-PerijovePanel-message');
    this.header.addWidget(message);
    this.#client.status.changed.connect(this.#onStatus, this);
    this.#showContent();
  }

  addSection(section: ISection): IDisposable {
    const holder = new SectionWidget(section, this.#commands);
    const ranks = this.#sections.map(other => other.section.rank);
    const index = ranks.filter(rank => rank <= section.rank).length;
    this.#sections.splice(index, 0, holder);
    this.insertWidget(index, holder);
    if (this.#seen) {
      void holder.fill();
    }
    return new DisposableDelegate(() => {
      this.#sections.splice(this.#sections.indexOf(holder), 1);
      holder.dispose();
    });
  }

  expand(sectionId: string): void {
    const index = this.#sections.findIndex(holder => holder.section.id === sectionId);
    if (index >= 0 && this.content instanceof AccordionPanel) {
      this.content.expand(index);
    }
  }

  protected override onAfterShow(): void {
    this.#client.status.refresh().catch(() => undefined);
    this.#fill();
  }

  #onStatus(_: unknown, status: IPlatformStatus): void {
    this.#showContent();
    if (status.state === 'ready' && this.isVisible) {
      this.#fill();
    }
  }

  #showContent(): void {
    const ready = this.#client.status.current?.state === 'ready';
    this.content.setHidden(!ready);
    this.header.setHidden(ready);
  }

  #fill(): void {
    if (!this.#seen && this.#client.status.current?.state === 'ready') {
      this.#seen = true;
      this.#sections.forEach(holder => void holder.fill());
    }
  }

  readonly #sections: SectionWidget[] = [];
  #seen = false;
}

/** What a section shows when its view could not be loaded. */
function failure(error: unknown): Widget {
  const widget = new Widget();
  widget.addClass('jp-PerijoveMessage');
  widget.node.textContent = errorText(error);
  return widget;
}

/** A section's place in the accordion, there before its content. */
class SectionWidget extends Widget implements Toolbar.IWidgetToolbar {
  constructor(
    readonly section: ISection,
    commands: CommandRegistry
  ) {
    super();
    this.id = section.id;
    this.addClass('jp-PerijoveSection');
    this.title.label = section.title;
    this.layout = new PanelLayout();
    this.toolbar = new Toolbar();
    for (const button of section.toolbar ?? []) {
      this.toolbar.addItem(
        button.command,
        new CommandToolbarButton({
          commands,
          id: button.command,
          icon: button.icon,
          label: '',
          caption: button.label
        })
      );
    }
  }

  readonly toolbar: Toolbar;

  async fill(): Promise<void> {
    const content = await this.section.create().catch(failure);
    if (this.isDisposed) {
      content.dispose();
    } else {
      (this.layout as PanelLayout).addWidget(content);
    }
  }
}
