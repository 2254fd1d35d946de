import { nullTranslator } from '@jupyterlab/translation';

import { IBatchJob } from '../../api';
import {
  batchFieldOf,
  EMPTY_BATCH,
  formFromBatch,
  IBatchForm,
  MAX_WORDS,
  pathFor,
  toBatchRequest,
  validateBatch
} from '../batchForm';

const trans = nullTranslator.load('perijove');
const good: IBatchForm = { ...EMPTY_BATCH, command: 'python -c "print(1)"' };
const faults = (change: Partial<IBatchForm>): readonly string[] =>
  Object.keys(validateBatch({ ...good, ...change }, trans)).sort();

describe('validateBatch', () => {
  it('asks for a command only', () => {
    expect(Object.keys(validateBatch(EMPTY_BATCH, trans))).toEqual(['command']);
    expect(faults({})).toEqual([]);
  });

  it.each<[string, Partial<IBatchForm>]>([
    ['name', { name: 'x'.repeat(65) }],
    ['image', { cluster: 'gpu-1' }],
    ['command', { command: "echo 'it" }],
    ['command', { command: 'x '.repeat(MAX_WORDS + 1) }],
    ['cpus', { cpus: '0' }],
    ['memory', { memory: '' }],
    ['memory', { memory: 'much' }],
    ['gpus', { gpus: '0.5' }],
    ['completions', { completions: '1001' }],
    ['parallelism', { parallelism: '0' }],
    ['maxRunTime', { maxRunTime: '90' }]
  ])('finds fault with %s: %j', (field, change) => {
    expect(faults(change)).toEqual([field]);
  });

  it('tells which row is at fault', () => {
    const variables = [
      { name: 'A', value: '' },
      { name: '1B', value: 'x' },
      { name: 'A', value: 'x' },
      { name: 'SECRET', value: null },
      { name: 'JOB_COMPLETION_INDEX', value: '7' }
    ];
    const inputs = [
      { fileId: 'file-1', path: 'data/a.txt' },
      { fileId: '', path: '../b' },
      { fileId: 'file-2', path: 'data/a.txt' },
      { fileId: 'file-2', path: '/c' }
    ];
    expect(faults({ variables, inputs })).toEqual([
      'inputs.1.fileId',
      'inputs.1.path',
      'inputs.2.path',
      'inputs.3.path',
      'variables.1.name',
      'variables.2.name',
      'variables.3.value',
      'variables.4.name'
    ]);
  });
});

describe('toBatchRequest', () => {
  it('names no image where there are none, and leaves out what was left empty', () => {
    expect(toBatchRequest({ ...good, image: 'left from another place' })).toEqual({
      command: ['python', '-c', 'print(1)'],
      environment: {},
      files: [],
      resources: { cpus: 1, memory_bytes: 2 ** 31, gpus: 0 },
      completions: 1,
      parallelism: 1
    });
  });

  it('comes back to the same form through a job, but for what nobody can read', () => {
    const form: IBatchForm = {
      name: 'nightly',
      image: 'python:3.11',
      command: "sh -c 'echo $A'",
      variables: [{ name: 'A', value: 'secret' }],
      inputs: [{ fileId: 'file-1', path: 'data/a.txt' }],
      cpus: '0.5',
      memory: '1.5',
      gpus: '1',
      completions: '10',
      parallelism: '2',
      cluster: 'gpu-1',
      priority: '-2',
      maxRunTime: '1 h 30 min'
    };
    const { environment, ...request } = toBatchRequest(form);
    expect(environment).toEqual({ A: 'secret' });
    const job = { ...request, environment_names: ['A'] } as unknown as IBatchJob;
    expect(request).toMatchObject({ cluster: 'gpu-1', priority: -2, max_run_seconds: 5_400 });
    expect(formFromBatch(job)).toEqual({ ...form, variables: [{ name: 'A', value: null }] });
  });
});

describe('batchFieldOf', () => {
  const form = { ...good, variables: [{ name: 'A', value: '' }] };
  it.each([
    ['command', 'command'],
    ['command.3', 'command'],
    ['resources.memory_bytes', 'memory'],
    ['files.2.path', 'inputs.2.path'],
    ['files.0.file_id', 'inputs.0.fileId'],
    ['files', 'inputs'],
    ['environment', 'variables'],
    ['environment.A', 'variables.0.name'],
    ['max_run_seconds', 'maxRunTime'],
    ['metadata', null],
    [null, null]
  ])('%p is %p', (param, field) => {
    expect(batchFieldOf(form, param)).toBe(field);
  });
});

describe('pathFor', () => {
  it.each([
    ['train.jsonl', 'train.jsonl'],
    ['.my file (1).txt', 'my_file_1_.txt']
  ])('%j is put at %j', (name, path) => {
    expect(pathFor(name)).toBe(path);
    expect(faults({ inputs: [{ fileId: 'file-1', path }] })).toEqual([]);
  });
});
