import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { Token } from '@lumino/coreutils';

import { IObject, IPerijoveClient } from '../api';
import {
  IDetailKind,
  IDetailRegistry,
  IPerijovePreferences,
  ISnippets,
  ObjectListModel,
  SnippetMaker
} from '../core';
import { IPerijovePanel, ISection } from './tokens';

/** What a kind of object is given at activation. */
export interface IObjectHost {
  readonly app: JupyterFrontEnd;
  readonly commands: CommandRegistry;
  readonly client: IPerijoveClient;
  readonly panel: IPerijovePanel;
  readonly details: IDetailRegistry;
  readonly snippets: ISnippets;
  readonly preferences: IPerijovePreferences;
  readonly palette: ICommandPalette | null;
  readonly translator: ITranslator;
  readonly trans: TranslationBundle;
}

/** A plugin that adds one kind of object. */
export interface IObjectPlugin<Others extends unknown[]> {
  /** The last part of its id. */
  readonly name: string;
  readonly description: string;
  /** What it takes besides, where Lab has it. */
  readonly optional?: { readonly [K in keyof Others]: Token<Others[K]> };
  readonly activate: (
    host: IObjectHost,
    ...others: { [K in keyof Others]: Others[K] | null }
  ) => void;
}

/** The plugin of Lab for a kind of object. */
export function objectPlugin<Others extends unknown[] = []>(
  plugin: IObjectPlugin<Others>
): JupyterFrontEndPlugin<void> {
  return {
    id: `@perijove/labextension:${plugin.name}`,
    description: plugin.description,
    autoStart: true,
    requires: [IPerijoveClient, IPerijovePanel, IDetailRegistry, ISnippets, IPerijovePreferences],
    optional: [ICommandPalette, ITranslator, ...(plugin.optional ?? [])],
    activate: (
      app: JupyterFrontEnd,
      client: IPerijoveClient,
      panel: IPerijovePanel,
      details: IDetailRegistry,
      snippets: ISnippets,
      preferences: IPerijovePreferences,
      palette: ICommandPalette | null,
      maybeTranslator: ITranslator | null,
      ...others: { [K in keyof Others]: Others[K] | null }
    ): void => {
      const { commands } = app;
      const translator = maybeTranslator ?? nullTranslator;
      const trans = translator.load('perijove');
      const own = { app, commands, client, panel, details, snippets, preferences };
      plugin.activate({ ...own, palette, translator, trans }, ...others);
    }
  };
}

/** All that one kind of object adds to Lab, besides its commands. */
export interface IObjectKind<T extends IObject> {
  readonly model: ObjectListModel<T>;
  /** Commands whose buttons look again when the list or its selection has changed. */
  readonly followers: readonly string[];
  /** Commands that need no selection. */
  readonly palette: readonly string[];
  readonly snippets: SnippetMaker;
  readonly detail: IDetailKind;
  readonly section: ISection;
}

/** Add a kind of object: its section, tabs, code, and what the palette offers. */
export function addObjectKind<T extends IObject>(host: IObjectHost, kind: IObjectKind<T>): void {
  const { commands, panel, details, snippets, palette, trans } = host;
  const { model } = kind;
  snippets.add(kind.detail.kind, kind.snippets);
  details.add(kind.detail);
  panel.addSection(kind.section);
  for (const command of kind.palette) {
    palette?.addItem({ command, category: trans.__('Perijove') });
  }
  const notify = (): void => {
    kind.followers.forEach(command => commands.notifyCommandChanged(command));
  };
  model.changed.connect(notify, model);
  model.selection.changed.connect(notify, model);
}
