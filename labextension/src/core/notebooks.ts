import { JupyterFrontEnd } from '@jupyterlab/application';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

/** The command of Lab that makes a notebook. */
const CREATE_NOTEBOOK = 'notebook:create-new';

/** A cell to be written. */
export interface ICellText {
  readonly type: 'code' | 'markdown';
  readonly source: string;
}

/** Writes cells into the notebook that was last in use, and shows them. */
export class NotebookWriter {
  readonly #app: JupyterFrontEnd;
  readonly #notebooks: INotebookTracker | null;

  constructor(app: JupyterFrontEnd, notebooks: INotebookTracker | null) {
    this.#app = app;
    this.#notebooks = notebooks;
  }

  /**
   * Put cells below the active one of the current notebook; without an open notebook, into a new one.
   *
   * @returns the notebook's name, or null where Lab has no notebooks
   */
  async insert(cells: readonly ICellText[]): Promise<string | null> {
    const panel =
      this.#notebooks?.currentWidget ??
      this.#notebooks?.find(() => true) ??
      (await this.#createNotebook());
    if (!panel) {
      return null;
    }
    // A restored tab makes its cells only when it is first in front.
    this.#app.shell.activateById(panel.id);
    await panel.context.ready;
    await panel.revealed;
    await write(panel, cells);
    return panel.title.label;
  }

  async #createNotebook(): Promise<NotebookPanel | null> {
    const { commands, serviceManager } = this.#app;
    if (!this.#notebooks || !commands.hasCommand(CREATE_NOTEBOOK)) {
      return null;
    }
    await serviceManager.kernelspecs.ready;
    const kernelName = serviceManager.kernelspecs.specs?.default;
    return (await commands.execute(CREATE_NOTEBOOK, { kernelName })) ?? null;
  }
}

async function write(panel: NotebookPanel, cells: readonly ICellText[]): Promise<void> {
  const { NotebookActions } = await import('@jupyterlab/notebook');
  const notebook = panel.content;
  notebook.mode = 'command';
  notebook.deselectAll();
  for (const [index, cell] of cells.entries()) {
    const active = notebook.activeCell?.model;
    // An empty code cell is what a person left for it.
    const left = active?.type === 'code' && active.sharedModel.getSource().trim() === '';
    if (index > 0 || !left) {
      NotebookActions.insertBelow(notebook);
    }
    if (cell.type === 'markdown') {
      NotebookActions.changeCellType(notebook, 'markdown');
    }
    notebook.activeCell?.model.sharedModel.setSource(cell.source);
  }
  if (notebook.activeCell) {
    await notebook.scrollToCell(notebook.activeCell, 'smart');
  }
}
