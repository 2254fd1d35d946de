import { Clipboard, Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';

import { errorText, isAbort } from '../api';

/** Characters that Lab shows of a notification. */
const SHOWN = 140;

/** A short error; when it is too long for that, with a button for the whole. */
export function notifyError(what: string, error: unknown, trans: TranslationBundle): void {
  const reason = errorText(error);
  const message = `${what} ${reason}`;
  if (message.length <= SHOWN) {
    Notification.error(message);
    return;
  }
  Notification.error(`${message.slice(0, SHOWN - 1)}…`, {
    actions: [
      { label: trans.__('Show details'), callback: () => void showDetails(what, reason, trans) }
    ]
  });
}

/** Run something that a person asked for; a failure becomes a notification. @returns whether it succeeded */
export async function attempt(
  what: string,
  act: () => Promise<unknown>,
  trans: TranslationBundle
): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    if (!isAbort(error)) {
      notifyError(what, error, trans);
    }
    return false;
  }
}

/** Put text into the clipboard and say so. */
export function copyText(text: string, trans: TranslationBundle): void {
  Clipboard.copyToSystem(text);
  Notification.info(trans.__('Copied: %1', text.length > 80 ? `${text.slice(0, 80)}…` : text), {
    autoClose: 2000
  });
}

async function showDetails(title: string, body: string, trans: TranslationBundle): Promise<void> {
  const result = await showDialog({
    title,
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Close') }),
      Dialog.okButton({ label: trans.__('Copy') })
    ]
  });
  if (result.button.accept) {
    Clipboard.copyToSystem(body);
  }
}
