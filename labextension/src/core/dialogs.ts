import { Dialog, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { IPerijovePreferences } from './preferences';

/** The most names that a question lists. */
const MAX_NAMED = 8;

/** What a question about deleting says. */
export interface IDeletion {
  /** A question: "Delete 2 files?" */
  readonly title: string;
  /** What will be gone. */
  readonly names: readonly string[];
  /** What follows from it, in a sentence. */
  readonly consequence?: string;
}

/** Ask before something is destroyed, unless the person wants no such questions. */
export async function confirmDelete(
  deletion: IDeletion,
  preferences: IPerijovePreferences,
  trans: TranslationBundle
): Promise<boolean> {
  if (!preferences.values.confirmDelete) {
    return true;
  }
  const result = await showDialog({
    title: deletion.title,
    body: text(deletion, trans),
    checkbox: {
      label: trans.__('Do not ask again'),
      caption: trans.__('The settings page has the switch to be asked again.')
    },
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Delete') })
    ],
    defaultButton: 0
  });
  if (result.button.accept && result.isChecked) {
    await preferences.set('confirmDelete', false);
  }
  return result.button.accept;
}

function text(deletion: IDeletion, trans: TranslationBundle): string {
  const named = deletion.names.slice(0, MAX_NAMED);
  const rest = deletion.names.length - named.length;
  const names = rest > 0 ? [...named, trans._n('and %1 more', 'and %1 more', rest)] : named;
  return [names.join('\n'), deletion.consequence].filter(Boolean).join('\n\n');
}
