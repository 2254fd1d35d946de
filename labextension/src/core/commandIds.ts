/** Commands that every kind of object has. */
export const OPEN_PANEL = 'perijove:open-panel';
export const OPEN_DETAIL = 'perijove:open-detail';
export const COPY_ID = 'perijove:copy-id';
export const INSERT_CLIENT = 'perijove:insert-client-code';
export const INSERT_MAGIC = 'perijove:insert-magic';
export const INSERT_CURL = 'perijove:insert-curl';

/** The chat playground, which takes `{model}` or `{vector_store}`. */
export const CHAT = 'perijove:chat';

/** The form for a fine-tune, which takes `{training_file}`. */
export const CREATE_JOB = 'perijove:create-job';
