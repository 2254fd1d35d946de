import { AnswerStream, ChatSession } from '../session';
import { AnswerEvent } from '../transcript';

function answering(...events: AnswerEvent[]): AnswerStream {
  return async function* () {
    yield* events;
  };
}

function session(stream: AnswerStream): ChatSession {
  const chat = new ChatSession(stream);
  chat.model = 'm';
  return chat;
}

/** Says one word, then waits until it is aborted. */
const endless: AnswerStream = async function* (_request, signal) {
  yield { type: 'text', text: 'Once' };
  await new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))
  );
};

describe('ChatSession', () => {
  it('asks and collects the answer', async () => {
    const chat = session(answering({ type: 'text', text: 'Yes' }));
    await chat.send('Well?');
    expect(chat.messages.map(({ role, content, state }) => [role, content, state])).toEqual([
      ['user', 'Well?', 'complete'],
      ['assistant', 'Yes', 'complete']
    ]);
    expect(chat.busy).toBe(false);
  });

  it('shows a refused request in the answer', async () => {
    const chat = session(async function* () {
      yield* [];
      throw new Error('The model "m" does not exist.');
    });
    await chat.send('Well?');
    expect(chat.messages[1]).toMatchObject({
      state: 'failed',
      error: 'The model "m" does not exist.'
    });
  });

  it('really aborts the request and keeps what has arrived', async () => {
    const chat = session(endless);
    const done = chat.send('Tell me a story');
    await new Promise<void>(resolve =>
      chat.changed.connect(() => chat.messages[1]?.content === 'Once' && resolve())
    );
    await chat.send('a second question meanwhile');
    expect(chat.messages).toHaveLength(2);
    chat.stop();
    await done;
    expect(chat.messages[1]).toMatchObject({ content: 'Once', state: 'stopped' });
    expect(chat.busy).toBe(false);
  });

  it('does not bring an answer back that was cleared away', async () => {
    const chat = session(endless);
    const done = chat.send('Tell me a story');
    chat.clear();
    await done;
    expect(chat.messages).toEqual([]);
  });

  it('regenerates an answer and drops what followed an edited question', async () => {
    const chat = session(answering({ type: 'text', text: 'A' }));
    await chat.send('one');
    await chat.send('two');
    await chat.regenerate(chat.messages[1].id);
    expect(chat.messages.map(message => message.content)).toEqual(['one', 'A']);
    await chat.edit(chat.messages[0].id, 'three');
    expect(chat.messages.map(message => message.content)).toEqual(['three', 'A']);
  });

  it('is the same after a reload and gives new messages new ids', async () => {
    const chat = session(answering({ type: 'text', text: 'A' }));
    await chat.send('one');
    const again = session(answering({ type: 'text', text: 'B' }));
    again.restore(JSON.parse(JSON.stringify(chat.state)));
    await again.send('two');
    expect(again.messages.map(message => message.content)).toEqual(['one', 'A', 'two', 'B']);
    expect(new Set(again.messages.map(message => message.id)).size).toBe(4);
  });
});
