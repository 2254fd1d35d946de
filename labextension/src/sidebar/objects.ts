import { ICommandPalette } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { IObject } from '../api';
import { IDetailKind, IDetailRegistry, ISnippets, ObjectListModel, SnippetMaker } from '../core';
import { IPerijovePanel, ISection } from './tokens';

/** Where a kind of object is added to. */
export interface IObjectHost {
  readonly commands: CommandRegistry;
  readonly panel: IPerijovePanel;
  readonly details: IDetailRegistry;
  readonly snippets: ISnippets;
  readonly palette: ICommandPalette | null;
  readonly trans: TranslationBundle;
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
