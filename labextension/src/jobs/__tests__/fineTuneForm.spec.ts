import { nullTranslator } from '@jupyterlab/translation';

import {
  EMPTY_FORM,
  fieldOfParam,
  formFromFineTune,
  toFineTuneRequest,
  validateFineTune
} from '../fineTuneForm';

const trans = nullTranslator.load('perijove');
const good = { ...EMPTY_FORM, model: 'smollm2', trainingFile: 'file-1' };

describe('validateFineTune', () => {
  it('asks for a model and a training file first', () => {
    expect(Object.keys(validateFineTune(EMPTY_FORM, trans)).sort()).toEqual([
      'model',
      'trainingFile'
    ]);
    expect(validateFineTune(good, trans)).toEqual({});
  });

  it.each([
    ['epochs', '0'],
    ['epochs', '1.5'],
    ['epochs', ''],
    ['epochs', 'many'],
    ['batchSize', '-1'],
    ['learningRateMultiplier', '0'],
    ['learningRateMultiplier', 'Infinity'],
    ['learningRateMultiplier', '101'],
    ['maxSteps', '0'],
    ['loraRank', '257'],
    ['seed', '-1'],
    ['seed', '1.5'],
    ['suffix', 'a b'],
    ['suffix', 'x'.repeat(65)],
    ['validationFile', 'file-1']
  ])('finds fault with %s = %p', (field, value) => {
    expect(Object.keys(validateFineTune({ ...good, [field]: value }, trans))).toEqual([field]);
  });

  it.each([
    ['epochs', 'AUTO'],
    ['epochs', ' 3 '],
    ['learningRateMultiplier', '0.1'],
    ['seed', '0'],
    ['maxSteps', '40'],
    ['suffix', 'my-model_2.1']
  ])('takes %s = %p', (field, value) => {
    expect(validateFineTune({ ...good, [field]: value }, trans)).toEqual({});
  });
});

describe('toFineTuneRequest', () => {
  it('leaves out what was left empty', () => {
    expect(toFineTuneRequest(good)).toEqual({
      model: 'smollm2',
      training_file: 'file-1',
      method: {
        type: 'supervised',
        supervised: {
          hyperparameters: {
            n_epochs: 'auto',
            batch_size: 'auto',
            learning_rate_multiplier: 'auto'
          }
        }
      }
    });
  });

  it('comes back to the same form through a job', () => {
    const form = {
      ...good,
      suffix: 's',
      epochs: '2',
      batchSize: '4',
      maxSteps: '9',
      seed: '0',
      cluster: 'gpu-1'
    };
    expect(formFromFineTune(toFineTuneRequest(form))).toEqual(form);
  });
});

describe('formFromFineTune', () => {
  it('names no place for what ran on this machine', () => {
    const job = { model: 'm', training_file: 'f', cluster: 'local' };
    expect(toFineTuneRequest(formFromFineTune(job))).not.toHaveProperty('cluster');
  });

  it('takes the older place of the hyperparameters too', () => {
    const form = formFromFineTune({
      model: 'm',
      training_file: 'f',
      hyperparameters: { n_epochs: 3, batch_size: 'auto' }
    });
    expect(form).toMatchObject({ epochs: '3', batchSize: 'auto', seed: '' });
  });
});

describe('fieldOfParam', () => {
  it.each([
    ['training_file', 'trainingFile'],
    ['method.supervised.hyperparameters.n_epochs', 'epochs'],
    ['hyperparameters.batch_size', 'batchSize'],
    ['metadata', null],
    [null, null]
  ])('%p is %p', (param, field) => {
    expect(fieldOfParam(param)).toBe(field);
  });
});
