import { nullTranslator } from '@jupyterlab/translation';

import { DEFAULT_PARAMETERS, toSampling, validateParameters } from '../parameters';
import { toRequest } from '../requests';
import {
  applyEvent,
  finishAnswer,
  forReload,
  IMessage,
  MAX_KEPT_CHARACTERS,
  tokensPerSecond,
  toPrompt
} from '../transcript';

const trans = nullTranslator.load('perijove');
const waiting: IMessage = { id: 1, role: 'assistant', content: '', state: 'waiting' };

describe('an answer', () => {
  it('grows, remembers its first token and its cost', () => {
    let answer = applyEvent(waiting, { type: 'text', text: 'Hel' }, 100);
    answer = applyEvent(answer, { type: 'text', text: 'lo' }, 200);
    answer = applyEvent(answer, { type: 'usage', promptTokens: 4, completionTokens: 11 }, 1100);
    answer = applyEvent(answer, { type: 'finish', reason: 'length' }, 1100);
    answer = finishAnswer(answer, 'complete', 1100);
    expect(answer).toMatchObject({ content: 'Hello', state: 'complete', cutShort: true });
    expect(answer.stats).toEqual({
      promptTokens: 4,
      completionTokens: 11,
      firstTokenMs: 100,
      totalMs: 1100
    });
    expect(tokensPerSecond(answer.stats!)).toBeCloseTo(10);
  });

  it('stays failed when the stream ends after an error', () => {
    const failed = applyEvent(waiting, { type: 'error', message: 'Out of memory.' }, 5);
    expect(finishAnswer(failed, 'complete', 6)).toMatchObject({
      state: 'failed',
      error: 'Out of memory.'
    });
  });

  it('claims no speed that was not measured', () => {
    const stats = { promptTokens: 1, completionTokens: 1, firstTokenMs: 5, totalMs: 5 };
    expect(tokensPerSecond(stats)).toBeNull();
    expect(tokensPerSecond({ ...stats, completionTokens: null })).toBeNull();
  });
});

function turn(id: number, role: 'user' | 'assistant', content: string): IMessage {
  return { id, role, content, state: 'complete' };
}

describe('toPrompt', () => {
  it('leaves out an empty answer with its question', () => {
    const messages = [
      turn(1, 'user', 'lost'),
      { ...turn(2, 'assistant', ''), state: 'failed' as const },
      turn(3, 'user', 'again')
    ];
    expect(toPrompt(messages, 'Be brief.')).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'again' }
    ]);
  });

  it('keeps the last question', () => {
    expect(toPrompt([turn(1, 'user', 'a')], ' ')).toEqual([{ role: 'user', content: 'a' }]);
  });
});

describe('toRequest', () => {
  const messages = [turn(1, 'user', 'a')];

  it('is a chat completion without vector stores', () => {
    const request = toRequest('m', messages, { ...DEFAULT_PARAMETERS, stop: 'x\n\ny' }, []);
    expect(request.api).toBe('chat/completions');
    expect(request.body).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: 'a' }],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 512,
      stop: ['x', 'y']
    });
  });

  it('searches vector stores by the responses API', () => {
    const request = toRequest('m', messages, { ...DEFAULT_PARAMETERS, system: 'S' }, ['vs_1']);
    expect(request.api).toBe('responses');
    expect(request.body).toMatchObject({
      instructions: 'S',
      max_output_tokens: 512,
      tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }]
    });
  });
});

describe('parameters', () => {
  it('names the field that is wrong', () => {
    const errors = validateParameters(
      {
        system: '',
        temperature: '2.1',
        topP: 'x',
        maxTokens: '0',
        seed: '1.5',
        stop: 'a\nb\nc\nd\ne'
      },
      trans
    );
    expect(Object.keys(errors).sort()).toEqual([
      'maxTokens',
      'seed',
      'stop',
      'temperature',
      'topP'
    ]);
  });

  it('takes the bounds themselves and empty fields', () => {
    const good = { ...DEFAULT_PARAMETERS, temperature: '0', topP: '1', seed: '-3' };
    expect(validateParameters(good, trans)).toEqual({});
    expect(toSampling(good)).toEqual({ temperature: 0, top_p: 1, max_tokens: 512, seed: -3 });
  });

  it('never sends an invalid value', () => {
    expect(toSampling({ ...DEFAULT_PARAMETERS, temperature: '9', maxTokens: 'x' })).toEqual({});
  });
});

describe('forReload', () => {
  it('keeps the newest turns within the bound and starts with a question', () => {
    const half = 'x'.repeat(MAX_KEPT_CHARACTERS / 2);
    const kept = forReload([
      turn(1, 'user', half),
      turn(2, 'assistant', half),
      turn(3, 'user', 'new'),
      { ...turn(4, 'assistant', 'par'), state: 'streaming' }
    ]);
    expect(kept.map(message => message.id)).toEqual([3, 4]);
    expect(kept[1].state).toBe('stopped');
  });
});
