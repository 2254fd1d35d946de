import { TranslationBundle } from '@jupyterlab/translation';

import { EMPTY_RUN, errorOfRunTime, IRunForm, runFields, runForm } from './runFields';

/**
 * The create form as it is typed. "auto" leaves a number to the trainer, an
 * empty string leaves a field out.
 */
export interface IFineTuneForm extends IRunForm {
  readonly model: string;
  readonly trainingFile: string;
  readonly validationFile: string;
  readonly suffix: string;
  readonly epochs: string;
  readonly batchSize: string;
  readonly learningRateMultiplier: string;
  readonly maxSteps: string;
  readonly loraRank: string;
  readonly loraAlpha: string;
  readonly seed: string;
}

/** A field of the form. */
export type FineTuneField = keyof IFineTuneForm;

/** What is wrong, by field. */
export type FineTuneErrors = Partial<Record<FineTuneField, string>>;

export const AUTO = 'auto';

export const EMPTY_FORM: IFineTuneForm = {
  model: '',
  trainingFile: '',
  validationFile: '',
  suffix: '',
  epochs: AUTO,
  batchSize: AUTO,
  learningRateMultiplier: AUTO,
  maxSteps: '',
  loraRank: '',
  loraAlpha: '',
  seed: '',
  ...EMPTY_RUN
};

/** OpenAI's limit. */
const MAX_SUFFIX = 64;
const SUFFIX = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The largest learning rate multiplier. */
const MAX_RATE = 100;

/** Whole numbers from 1 to the bound, or "auto". */
const WHOLE_OR_AUTO = [
  ['epochs', 50],
  ['batchSize', 256]
] as const;

/** Whole numbers between the bounds, or nothing. */
const WHOLE_OR_NOTHING = [
  ['maxSteps', 1, 1_000_000],
  ['loraRank', 1, 256],
  ['loraAlpha', 1, 1024],
  ['seed', 0, 2 ** 31 - 1]
] as const;

/** The last part of a parameter's path, as the server names it, to its field. */
const FIELD_OF_PARAM: Readonly<Record<string, FineTuneField>> = {
  model: 'model',
  training_file: 'trainingFile',
  validation_file: 'validationFile',
  suffix: 'suffix',
  n_epochs: 'epochs',
  batch_size: 'batchSize',
  learning_rate_multiplier: 'learningRateMultiplier',
  max_steps: 'maxSteps',
  lora_r: 'loraRank',
  lora_alpha: 'loraAlpha',
  seed: 'seed',
  cluster: 'cluster',
  priority: 'priority',
  max_run_seconds: 'maxRunTime'
};

/**
 * The field that an error of the server is about, or null when it is about
 * none, e.g. `method.supervised.hyperparameters.n_epochs` → `epochs`.
 */
export function fieldOfParam(param: string | null | undefined): FineTuneField | null {
  const name = (param ?? '').split('.').pop() ?? '';
  return FIELD_OF_PARAM[name] ?? null;
}

/**
 * What is wrong with the form, in words that say what to do.
 */
export function validateFineTune(form: IFineTuneForm, trans: TranslationBundle): FineTuneErrors {
  const errors: FineTuneErrors = {};
  if (form.model === '') {
    errors.model = trans.__('Choose the model to start from.');
  }
  if (form.trainingFile === '') {
    errors.trainingFile = trans.__('Choose a training file, or upload one.');
  }
  if (form.validationFile !== '' && form.validationFile === form.trainingFile) {
    errors.validationFile = trans.__('Choose another file than the training file, or none.');
  }
  if (form.suffix.length > MAX_SUFFIX) {
    errors.suffix = trans.__('Use at most %1 characters.', MAX_SUFFIX);
  } else if (form.suffix !== '' && !SUFFIX.test(form.suffix)) {
    errors.suffix = trans.__(
      'Use letters, digits, ".", "-" and "_", and begin with a letter or digit.'
    );
  }
  for (const [field, most] of WHOLE_OR_AUTO) {
    if (!isAutoOr(form[field], value => isWhole(value, 1, most))) {
      errors[field] = trans.__('Give a whole number from 1 to %1, or "auto".', most);
    }
  }
  if (!isAutoOr(form.learningRateMultiplier, value => value > 0 && value <= MAX_RATE)) {
    errors.learningRateMultiplier = trans.__(
      'Give a number above 0 and at most %1, or "auto".',
      MAX_RATE
    );
  }
  for (const [field, least, most] of WHOLE_OR_NOTHING) {
    if (form[field].trim() !== '' && !isWhole(Number(form[field]), least, most)) {
      errors[field] = trans.__('Give a whole number from %1 to %2, or nothing.', least, most);
    }
  }
  const runTime = errorOfRunTime(form, trans);
  return runTime === null ? errors : { ...errors, maxRunTime: runTime };
}

/** The body of `POST /v1/fine_tuning/jobs`. */
export interface IFineTuneRequest {
  readonly model: string;
  readonly training_file: string;
  readonly validation_file?: string;
  readonly suffix?: string;
  readonly seed?: number;
  readonly cluster?: string;
  readonly priority?: number;
  readonly max_run_seconds?: number;
  readonly method: {
    readonly type: 'supervised';
    readonly supervised: {
      readonly hyperparameters: {
        readonly n_epochs: number | 'auto';
        readonly batch_size: number | 'auto';
        readonly learning_rate_multiplier: number | 'auto';
        readonly max_steps?: number;
        readonly lora_r?: number;
        readonly lora_alpha?: number;
      };
    };
  };
}

/**
 * The request for a form without errors.
 */
export function toFineTuneRequest(form: IFineTuneForm): IFineTuneRequest {
  return {
    model: form.model,
    training_file: form.trainingFile,
    ...(form.validationFile !== '' && { validation_file: form.validationFile }),
    ...(form.suffix !== '' && { suffix: form.suffix }),
    ...given('seed', form.seed),
    ...runFields(form),
    method: {
      type: 'supervised',
      supervised: {
        hyperparameters: {
          n_epochs: numberOrAuto(form.epochs),
          batch_size: numberOrAuto(form.batchSize),
          learning_rate_multiplier: numberOrAuto(form.learningRateMultiplier),
          ...given('max_steps', form.maxSteps),
          ...given('lora_r', form.loraRank),
          ...given('lora_alpha', form.loraAlpha)
        }
      }
    }
  };
}

interface IHyperparameters {
  readonly n_epochs?: number | string | null;
  readonly batch_size?: number | string | null;
  readonly learning_rate_multiplier?: number | string | null;
  readonly max_steps?: number | null;
  readonly lora_r?: number | null;
  readonly lora_alpha?: number | null;
}

/** The part of a job that a clone takes over. */
export interface IClonable {
  readonly model: string;
  readonly training_file: string;
  readonly validation_file?: string | null;
  readonly suffix?: string | null;
  readonly user_provided_suffix?: string | null;
  readonly seed?: number | null;
  readonly cluster?: string | null;
  readonly priority?: number;
  readonly max_run_seconds?: number | null;
  readonly hyperparameters?: IHyperparameters | null;
  readonly method?: {
    readonly supervised?: { readonly hyperparameters?: IHyperparameters | null } | null;
  } | null;
}

/**
 * The form that would create a job like this one.
 */
export function formFromFineTune(job: IClonable): IFineTuneForm {
  const chosen = job.method?.supervised?.hyperparameters ?? job.hyperparameters ?? {};
  const text = (value: number | string | null | undefined, missing = AUTO) =>
    String(value ?? missing);
  return {
    model: job.model,
    trainingFile: job.training_file,
    validationFile: job.validation_file ?? '',
    suffix: job.suffix ?? job.user_provided_suffix ?? '',
    epochs: text(chosen.n_epochs),
    batchSize: text(chosen.batch_size),
    learningRateMultiplier: text(chosen.learning_rate_multiplier),
    maxSteps: text(chosen.max_steps, ''),
    loraRank: text(chosen.lora_r, ''),
    loraAlpha: text(chosen.lora_alpha, ''),
    seed: text(job.seed, ''),
    ...runForm(job)
  };
}

function isAutoOr(text: string, valid: (value: number) => boolean): boolean {
  const trimmed = text.trim().toLowerCase();
  return trimmed === AUTO || (trimmed !== '' && valid(Number(trimmed)));
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function given<K extends string>(name: K, text: string): { readonly [P in K]?: number } {
  return text.trim() === '' ? {} : ({ [name]: Number(text) } as { [P in K]: number });
}

function numberOrAuto(text: string): number | 'auto' {
  const trimmed = text.trim().toLowerCase();
  return trimmed === AUTO ? 'auto' : Number(trimmed);
}
