import { TranslationBundle } from '@jupyterlab/translation';

/**
 * The create form as it is typed. "auto" leaves a number to the trainer, an
 * empty string leaves a field out.
 */
export interface IJobForm {
  readonly model: string;
  readonly trainingFile: string;
  readonly validationFile: string;
  readonly suffix: string;
  readonly epochs: string;
  readonly batchSize: string;
  readonly learningRateMultiplier: string;
  readonly seed: string;
  readonly cluster: string;
}

/** A field of the form. */
export type JobField = keyof IJobForm;

/** What is wrong, by field. */
export type JobFormErrors = Partial<Record<JobField, string>>;

export const AUTO = 'auto';

export const EMPTY_FORM: IJobForm = {
  model: '',
  trainingFile: '',
  validationFile: '',
  suffix: '',
  epochs: AUTO,
  batchSize: AUTO,
  learningRateMultiplier: AUTO,
  seed: '',
  cluster: ''
};

/** OpenAI's limit. */
const MAX_SUFFIX = 64;
const SUFFIX = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** The last part of a parameter's path, as the server names it, to its field. */
const FIELD_OF_PARAM: Readonly<Record<string, JobField>> = {
  model: 'model',
  training_file: 'trainingFile',
  validation_file: 'validationFile',
  suffix: 'suffix',
  n_epochs: 'epochs',
  batch_size: 'batchSize',
  learning_rate_multiplier: 'learningRateMultiplier',
  seed: 'seed',
  cluster: 'cluster'
};

/**
 * The field that an error of the server is about, or null when it is about
 * none, e.g. `method.supervised.hyperparameters.n_epochs` → `epochs`.
 */
export function fieldOfParam(param: string | null | undefined): JobField | null {
  const name = (param ?? '').split('.').pop() ?? '';
  return FIELD_OF_PARAM[name] ?? null;
}

/**
 * What is wrong with the form, in words that say what to do.
 */
export function validateJobForm(form: IJobForm, trans: TranslationBundle): JobFormErrors {
  const errors: JobFormErrors = {};
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
    errors.suffix = trans.__('Use letters, digits, "-" and "_", and begin with a letter or digit.');
  }
  if (!isAutoOr(form.epochs, value => Number.isInteger(value) && value >= 1 && value <= 50)) {
    errors.epochs = trans.__('Give a whole number from 1 to 50, or "auto".');
  }
  if (!isAutoOr(form.batchSize, value => Number.isInteger(value) && value >= 1 && value <= 256)) {
    errors.batchSize = trans.__('Give a whole number from 1 to 256, or "auto".');
  }
  if (!isAutoOr(form.learningRateMultiplier, value => value > 0 && Number.isFinite(value))) {
    errors.learningRateMultiplier = trans.__('Give a number above 0, or "auto".');
  }
  if (!isSeed(form.seed)) {
    errors.seed = trans.__('Give a whole number from 0 to 2147483647, or nothing.');
  }
  return errors;
}

/** The body of `POST /v1/fine_tuning/jobs`. */
export interface IJobRequest {
  readonly model: string;
  readonly training_file: string;
  readonly validation_file?: string;
  readonly suffix?: string;
  readonly seed?: number;
  readonly cluster?: string;
  readonly method: {
    readonly type: 'supervised';
    readonly supervised: {
      readonly hyperparameters: {
        readonly n_epochs: number | 'auto';
        readonly batch_size: number | 'auto';
        readonly learning_rate_multiplier: number | 'auto';
      };
    };
  };
}

/**
 * The request for a form without errors.
 */
export function toJobRequest(form: IJobForm): IJobRequest {
  return {
    model: form.model,
    training_file: form.trainingFile,
    ...(form.validationFile !== '' && { validation_file: form.validationFile }),
    ...(form.suffix !== '' && { suffix: form.suffix }),
    ...(form.seed.trim() !== '' && { seed: Number(form.seed) }),
    ...(form.cluster !== '' && { cluster: form.cluster }),
    method: {
      type: 'supervised',
      supervised: {
        hyperparameters: {
          n_epochs: numberOrAuto(form.epochs),
          batch_size: numberOrAuto(form.batchSize),
          learning_rate_multiplier: numberOrAuto(form.learningRateMultiplier)
        }
      }
    }
  };
}

interface IHyperparameters {
  readonly n_epochs?: number | string | null;
  readonly batch_size?: number | string | null;
  readonly learning_rate_multiplier?: number | string | null;
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
  readonly hyperparameters?: IHyperparameters | null;
  readonly method?: {
    readonly supervised?: { readonly hyperparameters?: IHyperparameters | null } | null;
  } | null;
}

/**
 * The form that would create a job like this one.
 */
export function formFromJob(job: IClonable): IJobForm {
  const chosen = job.method?.supervised?.hyperparameters ?? job.hyperparameters ?? {};
  const text = (value: number | string | null | undefined) => String(value ?? AUTO);
  return {
    model: job.model,
    trainingFile: job.training_file,
    validationFile: job.validation_file ?? '',
    suffix: job.suffix ?? job.user_provided_suffix ?? '',
    epochs: text(chosen.n_epochs),
    batchSize: text(chosen.batch_size),
    learningRateMultiplier: text(chosen.learning_rate_multiplier),
    seed: job.seed === null || job.seed === undefined ? '' : String(job.seed),
    cluster: job.cluster ?? ''
  };
}

function isAutoOr(text: string, valid: (value: number) => boolean): boolean {
  const trimmed = text.trim().toLowerCase();
  return trimmed === AUTO || (trimmed !== '' && valid(Number(trimmed)));
}

function isSeed(text: string): boolean {
  const value = Number(text);
  return text.trim() === '' || (Number.isInteger(value) && value >= 0 && value <= 2147483647);
}

function numberOrAuto(text: string): number | 'auto' {
  const trimmed = text.trim().toLowerCase();
  return trimmed === AUTO ? 'auto' : Number(trimmed);
}
