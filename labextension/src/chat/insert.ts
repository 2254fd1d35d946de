import type { INotebookTracker } from '@jupyterlab/notebook';

/** A piece of an answer as a notebook keeps it. */
export interface ICellText {
  readonly type: 'code' | 'markdown';
  readonly source: string;
}

/**
 * An answer as cells: fenced Python becomes code, the rest stays Markdown.
 */
export function toCells(answer: string): readonly ICellText[] {
  const cells: ICellText[] = [];
  const add = (type: ICellText['type'], source: string) => {
    if (source.trim() !== '') {
      cells.push({ type, source: source.replace(/^\n+|\s+$/g, '') });
    }
  };
  const fence = /^```(?:python|py|ipython)?[ \t]*\n([\s\S]*?)\n?^```[ \t]*$/gm;
  let from = 0;
  for (let match = fence.exec(answer); match; match = fence.exec(answer)) {
    add('markdown', answer.slice(from, match.index));
    add('code', match[1]);
    from = fence.lastIndex;
  }
  add('markdown', answer.slice(from));
  return cells;
}

/**
 * Put an answer below the active cell of the current notebook.
 *
 * @returns the notebook's name, or null when none is open
 */
export async function insertAnswer(
  notebooks: INotebookTracker | null,
  answer: string
): Promise<string | null> {
  const panel = notebooks?.currentWidget;
  if (!panel) {
    return null;
  }
  const { NotebookActions } = await import('@jupyterlab/notebook');
  const notebook = panel.content;
  for (const cell of toCells(answer)) {
    NotebookActions.insertBelow(notebook);
    if (cell.type === 'markdown') {
      NotebookActions.changeCellType(notebook, 'markdown');
    }
    notebook.activeCell?.model.sharedModel.setSource(cell.source);
  }
  return panel.title.label;
}
