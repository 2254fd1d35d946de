import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { IObject } from '../../api';
import { IColumn } from './columns';
import { IChoice } from './FilterRow';
import { IEmptyState } from './ListStates';
import { ObjectListModel } from './model';

/** What a list shows and what its rows can do. */
export interface IObjectListProps<T extends IObject> {
  readonly model: ObjectListModel<T>;
  /** Kind of the rows in details and snippets: `model`, `file`, `job`, `vector-store`. */
  readonly kind: string;
  /** What a screen reader calls the list. */
  readonly label: string;
  readonly columns: readonly IColumn<T>[];
  /** A choice of some of the rows, beside the filter. */
  readonly choice?: IChoice<T>;
  readonly commands: CommandRegistry;
  /** Commands of the context menu, `-` for a separator; they are called with `{ids}`. */
  readonly rowCommands: readonly string[];
  /** Called with `{ids: [id]}` on Enter and double click. */
  readonly openCommand: string;
  /** Called with `{ids}` on Delete. */
  readonly deleteCommand?: string;
  readonly empty: IEmptyState;
  /** What type-ahead looks for; the id unless told. */
  readonly name?: (item: T) => string;
  /** Text of the code cell that a row leaves when it is dragged into a notebook. */
  readonly snippet?: (item: T) => string;
  readonly trans: TranslationBundle;
}
