import { TranslationBundle } from '@jupyterlab/translation';
import { deleteIcon, LabIcon, launchIcon, refreshIcon } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { IObject } from '../api';
import { IDetailRegistry } from './detail';
import { confirmDelete, IDeletion } from './dialogs';
import { ObjectListModel } from './list/model';
import { attempt } from './notifications';
import { IPerijovePreferences } from './preferences';

/** Arguments of every command that acts on rows. */
export const ROWS_SCHEMA = {
  type: 'object',
  properties: {
    ids: { type: 'array', items: { type: 'string' }, description: 'Ids of the objects to act on' },
    kind: { type: 'string', description: 'model, file, job, vector-store or cluster' }
  }
} as const;

/** What describes a command without arguments. */
export const NO_ARGUMENTS = { args: { type: 'object', properties: {} } } as const;

/** The ids that a command was called with, `null` when it was called without. */
export function argIds(args: ReadonlyPartialJSONObject): readonly string[] | null {
  return Array.isArray(args.ids) ? args.ids.map(String) : null;
}

/** A command that acts on rows: those that its arguments name, else the selected ones. */
export interface IRowCommand<T> {
  /** @param count - of the rows that it would act on */
  readonly label: string | ((count: number) => string);
  readonly caption?: string;
  readonly icon?: LabIcon;
  /** Whether it is for one row alone. */
  readonly single?: boolean;
  /** Whether it fits a row, `undefined` when that is not in the list; it acts on those that it fits. */
  readonly fits?: (item: T | undefined) => boolean;
  readonly isVisible?: () => boolean;
  readonly execute: (ids: readonly string[]) => unknown;
}

/** What the commands of a kind of object work with. */
export interface IRowsContext<T extends IObject> {
  readonly commands: CommandRegistry;
  readonly model: ObjectListModel<T>;
  readonly details: IDetailRegistry;
  readonly preferences: IPerijovePreferences;
  readonly trans: TranslationBundle;
}

/** How objects of a kind are deleted. */
export interface IRowDeletion<T> {
  readonly fits?: (item: T | undefined) => boolean;
  /** Asked with the number of objects and their names. */
  readonly question: (count: number) => Omit<IDeletion, 'names'>;
  /** What the question calls an object; its id unless told. */
  readonly name?: (item: T) => string;
  /** What is said when it fails. */
  readonly failure: string;
  /** @returns false when the person has changed their mind */
  readonly delete: (id: string) => Promise<unknown>;
}

/** Adds the commands that act on rows of one list. */
export class RowCommands<T extends IObject> {
  readonly #kind: string;
  readonly #context: IRowsContext<T>;

  /** @param kind - of the objects, as details know it */
  constructor(kind: string, context: IRowsContext<T>) {
    this.#kind = kind;
    this.#context = context;
  }

  add(command: string, options: IRowCommand<T>): void {
    const { commands, model } = this.#context;
    const { label, single, fits, execute, ...rest } = options;
    const fitting = (args: ReadonlyPartialJSONObject): readonly string[] => {
      const ids = argIds(args) ?? model.selected.map(item => item.id);
      return single && ids.length !== 1 ? [] : ids.filter(id => fits?.(model.find(id)) ?? true);
    };
    commands.addCommand(command, {
      ...rest,
      label: typeof label === 'string' ? label : args => label(fitting(args).length),
      describedBy: { args: ROWS_SCHEMA },
      isEnabled: args => fitting(args).length > 0,
      execute: args => {
        const ids = fitting(args);
        return ids.length > 0 ? execute(ids) : undefined;
      }
    });
  }

  /** Opens each row as a tab. */
  addOpen(command: string, label: string): void {
    this.add(command, {
      label,
      icon: launchIcon,
      execute: async ids => {
        for (const id of ids) {
          await this.#context.details.open(this.#kind, id);
        }
      }
    });
  }

  addRefresh(command: string, label: string): void {
    this.#context.commands.addCommand(command, {
      label,
      icon: refreshIcon,
      describedBy: NO_ARGUMENTS,
      execute: () => this.#context.model.reload()
    });
  }

  /** Does the same with each row; a failure becomes a notification, and the rows after it have their turn. */
  addEach(
    command: string,
    options: Omit<IRowCommand<T>, 'execute'>,
    failure: string,
    act: (id: string) => Promise<T>
  ): void {
    const execute = (ids: readonly string[]) => this.each(ids, failure, act);
    this.add(command, { ...options, execute });
  }

  /** Show what each request answers; a failure becomes a notification. */
  async each(
    ids: readonly string[],
    failure: string,
    act: (id: string) => Promise<T>
  ): Promise<void> {
    const { model, trans } = this.#context;
    for (const id of ids) {
      await attempt(failure, async () => model.put(await act(id)), trans);
    }
  }

  /** Deletes rows after asking. */
  addDelete(command: string, deletion: IRowDeletion<T>): void {
    const { model, details, preferences, trans } = this.#context;
    const nameOf = (id: string): string => {
      const item = model.find(id);
      return (item && deletion.name?.(item)) || id;
    };
    const execute = async (ids: readonly string[]): Promise<void> => {
      const question = { ...deletion.question(ids.length), names: ids.map(nameOf) };
      const confirmed = await confirmDelete(question, preferences, trans);
      for (const id of confirmed ? ids : []) {
        const act = async (): Promise<void> => {
          if ((await deletion.delete(id)) !== false) {
            model.remove(id);
            details.close(this.#kind, id);
          }
        };
        await attempt(deletion.failure, act, trans);
      }
    };
    this.add(command, {
      label: trans.__('Delete…'),
      icon: deleteIcon,
      fits: deletion.fits ?? (item => item !== undefined),
      execute
    });
  }
}
