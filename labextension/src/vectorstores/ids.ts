export const CREATE_STORE = 'perijove:create-vector-store';
export const OPEN_STORE = 'perijove:open-vector-store';
export const ADD_TO_STORE = 'perijove:add-to-vector-store';
export const ADD_FILES = 'perijove:add-files-to-vector-store';
export const RENAME_STORE = 'perijove:rename-vector-store';
export const CHAT_STORE = 'perijove:chat-with-vector-store';
export const DELETE_STORE = 'perijove:delete-vector-store';
export const REFRESH_STORES = 'perijove:refresh-vector-stores';

/** The kind of details and snippets of vector stores. */
export const STORE_KIND = 'vector-store';
