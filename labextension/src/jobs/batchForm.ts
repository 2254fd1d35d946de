import { TranslationBundle } from '@jupyterlab/translation';

import { IBatchJob, IBatchJobCreate } from '../api';
import { EMPTY_RUN, errorOfRunTime, IRunForm, runFields, runForm } from './runFields';
import { joinWords, splitWords } from './words';

/** A variable of the environment; its value is null where a clone cannot know it. */
export interface IVariable {
  readonly name: string;
  readonly value: string | null;
}

/** A file, and where the command finds it. */
export interface IInput {
  readonly fileId: string;
  readonly path: string;
}

/** The form for a batch job as it is typed. */
export interface IBatchForm extends IRunForm {
  readonly name: string;
  readonly image: string;
  readonly command: string;
  readonly variables: readonly IVariable[];
  readonly inputs: readonly IInput[];
  readonly cpus: string;
  /** In GiB. */
  readonly memory: string;
  readonly gpus: string;
  readonly completions: string;
  readonly parallelism: string;
}

/** What is wrong, by field; in rows by `inputs.0.path`. */
export type BatchErrors = Readonly<Record<string, string>>;

export const EMPTY_BATCH: IBatchForm = {
  name: '',
  image: '',
  command: '',
  variables: [],
  inputs: [],
  cpus: '1',
  memory: '2',
  gpus: '0',
  completions: '1',
  parallelism: '1',
  ...EMPTY_RUN
};

const GIB = 2 ** 30;
const MAX_NAME = 64;
export const MAX_WORDS = 256;
export const MAX_VARIABLES = 128;
export const MAX_INPUTS = 64;
export const MAX_COMPLETIONS = 1000;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Set by the platform for each run. */
const INDEX = 'JOB_COMPLETION_INDEX';
const PATH = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)*$/;

/** The path at which a file of this name is put unless a person says otherwise. */
export function pathFor(filename: string): string {
  return filename.replace(/[^\w.-]+/g, '_').replace(/^[^A-Za-z0-9]+/, '');
}

/** What is wrong with the form, in words that say what to do. */
export function validateBatch(form: IBatchForm, trans: TranslationBundle): BatchErrors {
  const runTime = errorOfRunTime(form, trans);
  const command = errorOfCommand(form.command, trans);
  return {
    ...(form.name.length > MAX_NAME && {
      name: trans.__('Use at most %1 characters.', MAX_NAME)
    }),
    ...(form.cluster !== '' &&
      form.image.trim() === '' && {
        image: trans.__('Name the image in which the command runs, such as "python:3.11".')
      }),
    ...(command !== null && { command }),
    ...errorsOfVariables(form.variables, trans),
    ...errorsOfInputs(form.inputs, trans),
    ...errorsOfNumbers(form, trans),
    ...(runTime !== null && { maxRunTime: runTime })
  };
}

function errorOfCommand(line: string, trans: TranslationBundle): string | null {
  const { words, open } = splitWords(line);
  if (open === '\\') {
    return trans.__('The backslash at the end keeps nothing: take it away.');
  }
  if (words === null) {
    return trans.__('A quote (%1) is opened and not closed.', open);
  }
  if (words.length === 0) {
    return trans.__('Write the command to run.');
  }
  return words.length > MAX_WORDS ? trans.__('Use at most %1 words.', MAX_WORDS) : null;
}

function errorsOfVariables(variables: readonly IVariable[], trans: TranslationBundle): BatchErrors {
  const errors: Record<string, string> = {};
  variables.forEach(({ name, value }, row) => {
    if (!VARIABLE.test(name)) {
      errors[`variables.${row}.name`] = trans.__(
        'Use letters, digits and "_", and begin with a letter or "_".'
      );
    } else if (variables.findIndex(other => other.name === name) < row) {
      errors[`variables.${row}.name`] = trans.__('%1 is there already.', name);
    }
    if (name === INDEX) {
      errors[`variables.${row}.name`] = trans.__(
        '%1 is set for each run; take another name.',
        INDEX
      );
    }
    if (value === null) {
      errors[`variables.${row}.value`] = trans.__(
        'Values cannot be read again: write it anew, or remove the variable.'
      );
    }
  });
  return errors;
}

function errorsOfInputs(inputs: readonly IInput[], trans: TranslationBundle): BatchErrors {
  const errors: Record<string, string> = {};
  inputs.forEach(({ fileId, path }, row) => {
    if (fileId === '') {
      errors[`inputs.${row}.fileId`] = trans.__('Choose a file, or remove the row.');
    }
    if (!PATH.test(path)) {
      errors[`inputs.${row}.path`] = trans.__(
        'Write a path below the work folder, such as "data/train.jsonl": letters, digits, ".", "-" and "_".'
      );
    } else if (inputs.findIndex(other => other.path === path) < row) {
      errors[`inputs.${row}.path`] = trans.__('Another file has this path already.');
    }
  });
  return errors;
}

function errorsOfNumbers(form: IBatchForm, trans: TranslationBundle): BatchErrors {
  const errors: Record<string, string> = {};
  for (const field of ['cpus', 'memory'] as const) {
    if (!(Number(form[field]) > 0) || form[field].trim() === '') {
      errors[field] = trans.__('Give a number above 0.');
    }
  }
  if (!isWhole(form.gpus, 0, Infinity)) {
    errors.gpus = trans.__('Give a whole number, or 0 for none.');
  }
  for (const field of ['completions', 'parallelism'] as const) {
    if (!isWhole(form[field], 1, MAX_COMPLETIONS)) {
      errors[field] = trans.__('Give a whole number from 1 to %1.', MAX_COMPLETIONS);
    }
  }
  return errors;
}

function isWhole(text: string, least: number, most: number): boolean {
  const value = Number(text);
  return text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most;
}

/** The request for a form without errors. */
export function toBatchRequest(form: IBatchForm): Partial<IBatchJobCreate> {
  return {
    ...(form.name.trim() !== '' && { name: form.name.trim() }),
    // On the platform's own machine there are no images.
    ...(form.cluster !== '' && { image: form.image.trim() }),
    command: [...(splitWords(form.command).words ?? [])],
    environment: Object.fromEntries(form.variables.map(({ name, value }) => [name, value ?? ''])),
    files: form.inputs.map(({ fileId, path }) => ({ file_id: fileId, path })),
    resources: {
      cpus: Number(form.cpus),
      memory_bytes: Math.round(Number(form.memory) * GIB),
      gpus: Number(form.gpus)
    },
    completions: Number(form.completions),
    parallelism: Number(form.parallelism),
    ...runFields(form)
  };
}

/** The form that would create a job like this one; what its variables hold nobody can read. */
export function formFromBatch(job: IBatchJob): IBatchForm {
  return {
    name: job.name ?? '',
    image: job.image ?? '',
    command: joinWords(job.command),
    variables: job.environment_names.map(name => ({ name, value: null })),
    inputs: job.files.map(({ file_id: fileId, path }) => ({ fileId, path })),
    cpus: String(job.resources.cpus),
    memory: String(job.resources.memory_bytes / GIB),
    gpus: String(job.resources.gpus),
    completions: String(job.completions),
    parallelism: String(job.parallelism),
    ...runForm(job)
  };
}

const FIELDS: Readonly<Record<string, string>> = {
  memory_bytes: 'memory',
  file_id: 'fileId',
  files: 'inputs',
  max_run_seconds: 'maxRunTime',
  environment: 'variables'
};

/** The field that an error of the server is about, e.g. `files.0.path` → `inputs.0.path`; null when it is none. */
export function batchFieldOf(form: IBatchForm, param: string | null): string | null {
  const [first, ...rest] = (param ?? '').replace(/^resources\./, '').split('.');
  const field = FIELDS[first] ?? first;
  if (field === 'variables') {
    const row = form.variables.findIndex(({ name }) => name === rest[0]);
    return row < 0 ? field : `variables.${row}.name`;
  }
  if (field === 'inputs' && rest.length > 1) {
    return [field, rest[0], FIELDS[rest[1]] ?? rest[1]].join('.');
  }
  return field in form ? field : null;
}
