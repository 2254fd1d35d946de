import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import * as React from 'react';

/** What notebooks take as cells. */
const CELLS_MIME = 'application/vnd.jupyter.cells';

/** Pixels that the pointer has to move before a press becomes a drag. */
const THRESHOLD = 5;

/** Follow a press on a row; when it becomes a drag, a notebook takes it as a code cell and an editor as text. */
export function beginRowDrag(press: React.MouseEvent, name: string, code: string): void {
  const { clientX, clientY } = press;
  const source = press.currentTarget;
  const stop = (): void => {
    document.removeEventListener('mousemove', move, true);
    document.removeEventListener('mouseup', stop, true);
  };
  const move = (event: MouseEvent): void => {
    if (Math.abs(event.clientX - clientX) + Math.abs(event.clientY - clientY) < THRESHOLD) {
      return;
    }
    stop();
    const mimeData = new MimeData();
    mimeData.setData('text/plain', code);
    mimeData.setData(CELLS_MIME, [
      { cell_type: 'code', source: code, metadata: {}, outputs: [], execution_count: null }
    ]);
    const drag = new Drag({
      mimeData,
      dragImage: image(name),
      proposedAction: 'copy',
      supportedActions: 'copy',
      source
    });
    void drag.start(event.clientX, event.clientY).then(() => drag.dispose());
  };
  document.addEventListener('mousemove', move, true);
  document.addEventListener('mouseup', stop, true);
}

function image(name: string): HTMLElement {
  const node = document.createElement('div');
  node.className = 'jp-PerijoveDragImage jp-ThemedContainer';
  node.textContent = name;
  return node;
}
