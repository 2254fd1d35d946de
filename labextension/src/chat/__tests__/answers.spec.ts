import { fromCompletionChunk, fromResponseEvent } from '../answers';

describe('fromCompletionChunk', () => {
  const chunk = (value: unknown) => fromCompletionChunk(JSON.stringify(value));

  it('reads text, the reason of the end and the usage', () => {
    expect(chunk({ choices: [{ delta: { role: 'assistant', content: '' } }] })).toEqual([]);
    expect(chunk({ choices: [{ delta: { content: 'Hi' } }] })).toEqual([
      { type: 'text', text: 'Hi' }
    ]);
    expect(chunk({ choices: [{ delta: {}, finish_reason: 'length' }] })).toEqual([
      { type: 'finish', reason: 'length' }
    ]);
    expect(chunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 9 } })).toEqual([
      { type: 'usage', promptTokens: 3, completionTokens: 9 }
    ]);
    expect(fromCompletionChunk('[DONE]')).toEqual([]);
  });

  it('passes on an error in the middle of a stream', () => {
    expect(chunk({ error: { message: 'The engine stopped.' } })).toEqual([
      { type: 'error', message: 'The engine stopped.' }
    ]);
  });
});

describe('fromResponseEvent', () => {
  const event = (value: unknown) => fromResponseEvent(JSON.stringify(value));

  it('reads text and the end', () => {
    expect(event({ type: 'response.created', response: {} })).toEqual([]);
    expect(event({ type: 'response.output_text.delta', delta: 'A' })).toEqual([
      { type: 'text', text: 'A' }
    ]);
    expect(
      event({
        type: 'response.completed',
        response: { usage: { input_tokens: 5, output_tokens: 2 } }
      })
    ).toEqual([
      { type: 'usage', promptTokens: 5, completionTokens: 2 },
      { type: 'finish', reason: 'stop' }
    ]);
    expect(
      event({
        type: 'response.incomplete',
        response: { incomplete_details: { reason: 'max_output_tokens' } }
      })
    ).toEqual([{ type: 'finish', reason: 'length' }]);
  });

  it('reads the passages that were found', () => {
    const item = {
      type: 'file_search_call',
      results: [{ file_id: 'file-1', filename: 'a.md', score: 0.5, text: 'Io' }]
    };
    expect(event({ type: 'response.output_item.done', item })).toEqual([
      {
        type: 'sources',
        sources: [{ fileId: 'file-1', filename: 'a.md', score: 0.5, text: 'Io' }]
      }
    ]);
  });

  it.each([
    [{ type: 'error', message: 'No.' }],
    [{ error: { message: 'No.' } }],
    [{ type: 'response.failed', response: { error: { message: 'No.' } } }]
  ])('finds the error of %j', value => {
    expect(event(value)).toContainEqual({ type: 'error', message: 'No.' });
  });
});
