import { TranslationBundle } from '@jupyterlab/translation';

/** How an answer is drawn. An empty string means "the model's default". */
export interface IChatParameters {
  readonly system: string;
  readonly temperature: string;
  readonly topP: string;
  readonly maxTokens: string;
  readonly seed: string;
  /** One stop sequence on each line. */
  readonly stop: string;
}

/** The numbers behind {@link IChatParameters}, as the API takes them. */
export interface ISampling {
  readonly temperature?: number;
  readonly top_p?: number;
  readonly max_tokens?: number;
  readonly seed?: number;
  readonly stop?: string[];
}

export const DEFAULT_PARAMETERS: IChatParameters = {
  system: '',
  temperature: '',
  topP: '',
  maxTokens: '512',
  seed: '',
  stop: ''
};

/** OpenAI's limit on stop sequences. */
const MAX_STOPS = 4;

/**
 * What is wrong with each field, in words that say what to do.
 */
export function validateParameters(
  parameters: IChatParameters,
  trans: TranslationBundle
): Partial<Record<keyof IChatParameters, string>> {
  const errors: Partial<Record<keyof IChatParameters, string>> = {};
  if (!within(parameters.temperature, 0, 2)) {
    errors.temperature = trans.__('Give a number from 0 to 2.');
  }
  if (!within(parameters.topP, 0, 1)) {
    errors.topP = trans.__('Give a number from 0 to 1.');
  }
  if (!whole(parameters.maxTokens, 1)) {
    errors.maxTokens = trans.__('Give a whole number from 1.');
  }
  if (!whole(parameters.seed, -Infinity)) {
    errors.seed = trans.__('Give a whole number.');
  }
  if (stops(parameters).length > MAX_STOPS) {
    errors.stop = trans.__('Give at most %1 lines.', MAX_STOPS);
  }
  return errors;
}

/**
 * The request's fields; what is empty or invalid is left out.
 */
export function toSampling(parameters: IChatParameters): ISampling {
  const sequences = stops(parameters).slice(0, MAX_STOPS);
  const number = (text: string, valid: boolean) =>
    text.trim() !== '' && valid ? Number(text) : undefined;
  const all: ISampling = {
    temperature: number(parameters.temperature, within(parameters.temperature, 0, 2)),
    top_p: number(parameters.topP, within(parameters.topP, 0, 1)),
    max_tokens: number(parameters.maxTokens, whole(parameters.maxTokens, 1)),
    seed: number(parameters.seed, whole(parameters.seed, -Infinity)),
    stop: sequences.length > 0 ? sequences : undefined
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function stops(parameters: IChatParameters): string[] {
  return parameters.stop.split('\n').filter(line => line !== '');
}

function within(text: string, low: number, high: number): boolean {
  const value = Number(text);
  return text.trim() === '' || (value >= low && value <= high);
}

function whole(text: string, low: number): boolean {
  const value = Number(text);
  return text.trim() === '' || (Number.isSafeInteger(value) && value >= low);
}
