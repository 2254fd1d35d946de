import { PageConfig } from '@jupyterlab/coreutils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import { Contents } from '@jupyterlab/services';
import { ITranslator } from '@jupyterlab/translation';

/**
 * Ask for a GGUF file, or a folder with one, in Jupyter's file browser.
 *
 * @returns its path on the machine of the Jupyter server, null when nothing was chosen
 */
export async function pickWeights(
  manager: IDocumentManager,
  translator: ITranslator
): Promise<string | null> {
  const trans = translator.load('perijove');
  const { FileDialog } = await import('@jupyterlab/filebrowser');
  const result = await FileDialog.getOpenFiles({
    manager,
    translator,
    title: trans.__('Choose a model'),
    label: trans.__('A GGUF file, or a folder that holds one.'),
    filter: isWeights
  });
  const chosen = result.button.accept ? result.value?.[0] : undefined;
  return chosen ? pathOnServer(manager.services.contents, chosen.path) : null;
}

function isWeights(item: Contents.IModel): Record<string, never> | null {
  return item.type === 'directory' || item.name.toLowerCase().endsWith('.gguf') ? {} : null;
}

/** The path on the server's machine of what Jupyter's file browser calls `path`. */
export function pathOnServer(
  contents: Pick<Contents.IManager, 'localPath'>,
  path: string,
  root = PageConfig.getOption('serverRoot')
): string {
  const local = contents.localPath(path);
  return local === '' ? root : `${root.replace(/\/$/, '')}/${local}`;
}
