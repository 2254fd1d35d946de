import { MenuSvg } from '@jupyterlab/ui-components';

import { IObject } from '../../api';
import { COPY_ID, INSERT_CLIENT, INSERT_CURL, INSERT_MAGIC } from '../commandIds';
import { IObjectListProps } from './props';

/** The context menu of the selected rows: the same commands as the toolbar's. */
export function showRowMenu<T extends IObject>(
  props: IObjectListProps<T>,
  x: number,
  y: number
): void {
  const menu = new MenuSvg({ commands: props.commands });
  const ids = props.model.selected.map(item => item.id);
  for (const command of props.rowCommands) {
    if (command === '-') {
      menu.addItem({ type: 'separator' });
    } else {
      menu.addItem({ command, args: { ids, kind: props.kind } });
    }
  }
  menu.addItem({ type: 'separator' });
  menu.addItem({ command: COPY_ID, args: { ids, kind: props.kind } });
  const code = new MenuSvg({ commands: props.commands });
  code.title.label = props.trans.__('Insert code into the notebook');
  for (const command of [INSERT_CLIENT, INSERT_MAGIC, INSERT_CURL]) {
    code.addItem({ command, args: { ids, kind: props.kind } });
  }
  menu.addItem({ type: 'submenu', submenu: code });
  menu.aboutToClose.connect(() => {
    // The command runs after the menu has closed, so it goes only then.
    window.setTimeout(() => {
      menu.dispose();
      code.dispose();
    });
  }, menu);
  menu.open(x, y);
}
