/** Where the browser keeps the ids of uploads that have not ended, so that they go on after a reload. */
const PREFIX = 'perijove:upload:';

function key(file: File, purpose: string): string {
  return PREFIX + JSON.stringify([file.name, file.size, file.lastModified, purpose]);
}

/** The id of the unfinished upload of the same file, as far as name, size and time of change tell. */
export function recallUpload(file: File, purpose: string): string | null {
  return window.localStorage.getItem(key(file, purpose));
}

export function rememberUpload(file: File, purpose: string, id: string): void {
  try {
    window.localStorage.setItem(key(file, purpose), id);
  } catch {
    // The browser's storage is full: the upload works all the same, it only cannot go on after a reload.
  }
}

export function forgetUpload(file: File, purpose: string): void {
  window.localStorage.removeItem(key(file, purpose));
}
