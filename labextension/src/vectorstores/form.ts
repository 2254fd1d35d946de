import { TranslationBundle } from '@jupyterlab/translation';

/** The create form as it is typed. */
export interface IStoreForm {
  readonly name: string;
  readonly fileIds: readonly string[];
  readonly chunking: 'auto' | 'static';
  readonly chunkSize: string;
  readonly chunkOverlap: string;
  /** Days without use until the store expires; empty for never. */
  readonly expiryDays: string;
}

export type StoreField = keyof IStoreForm;
export type StoreFormErrors = Partial<Record<StoreField, string>>;

export const EMPTY_FORM: IStoreForm = {
  name: '',
  fileIds: [],
  chunking: 'auto',
  chunkSize: '800',
  chunkOverlap: '400',
  expiryDays: ''
};

/** OpenAI's bounds on chunks, in tokens. */
const MIN_CHUNK = 100;
const MAX_CHUNK = 4096;
const MAX_NAME = 256;
const MAX_DAYS = 365;

const FIELD_OF_PARAM: Readonly<Record<string, StoreField>> = {
  name: 'name',
  file_ids: 'fileIds',
  chunking_strategy: 'chunkSize',
  max_chunk_size_tokens: 'chunkSize',
  chunk_overlap_tokens: 'chunkOverlap',
  expires_after: 'expiryDays',
  days: 'expiryDays'
};

/** The field that an error of the server is about, or null. */
export function fieldOfParam(param: string | null | undefined): StoreField | null {
  const names = (param ?? '').split(/[.[\]]+/).filter(Boolean);
  for (const name of names.reverse()) {
    if (FIELD_OF_PARAM[name]) {
      return FIELD_OF_PARAM[name];
    }
  }
  return null;
}

/** What is wrong with the form, in words that say what to do. */
export function validateStoreForm(form: IStoreForm, trans: TranslationBundle): StoreFormErrors {
  const errors: StoreFormErrors = {};
  if (form.name.trim() === '') {
    errors.name = trans.__('Give the vector store a name.');
  } else if (form.name.length > MAX_NAME) {
    errors.name = trans.__('Use at most %1 characters.', MAX_NAME);
  }
  if (form.chunking === 'static') {
    const size = whole(form.chunkSize, MIN_CHUNK, MAX_CHUNK);
    if (size === null) {
      errors.chunkSize = trans.__('Give a whole number from %1 to %2.', MIN_CHUNK, MAX_CHUNK);
    }
    const most = Math.floor((size ?? MAX_CHUNK) / 2);
    if (whole(form.chunkOverlap, 0, most) === null) {
      errors.chunkOverlap = trans.__(
        'Give a whole number from 0 to %1, half of the chunk size.',
        most
      );
    }
  }
  if (form.expiryDays.trim() !== '' && whole(form.expiryDays, 1, MAX_DAYS) === null) {
    errors.expiryDays = trans.__('Give a whole number from 1 to %1, or nothing.', MAX_DAYS);
  }
  return errors;
}

/** The body of `POST /v1/vector_stores` for a form without errors. */
export function toStoreRequest(form: IStoreForm): Readonly<Record<string, unknown>> {
  return {
    name: form.name.trim(),
    ...(form.fileIds.length > 0 && {
      file_ids: form.fileIds,
      chunking_strategy: toChunking(form)
    }),
    ...(form.expiryDays.trim() !== '' && {
      expires_after: { anchor: 'last_active_at', days: Number(form.expiryDays) }
    })
  };
}

/** The chunking strategy of the form, as the API takes it. */
export function toChunking(form: IStoreForm): Readonly<Record<string, unknown>> {
  return form.chunking === 'auto'
    ? { type: 'auto' }
    : {
        type: 'static',
        static: {
          max_chunk_size_tokens: Number(form.chunkSize),
          chunk_overlap_tokens: Number(form.chunkOverlap)
        }
      };
}

function whole(text: string, low: number, high: number): number | null {
  const value = Number(text);
  return text.trim() !== '' && Number.isInteger(value) && value >= low && value <= high
    ? value
    : null;
}
