import { IPerijoveClient } from '../api/tokens';
import { fromCompletionChunk, fromResponseEvent } from './answers';
import { AnswerStream } from './session';

/** Answers of the platform behind a client. */
export function answersOf(client: IPerijoveClient): AnswerStream {
  return async function* ({ api, body }, signal) {
    const read = api === 'responses' ? fromResponseEvent : fromCompletionChunk;
    for await (const event of client.stream(`/v1/${api}`, { json: body, signal })) {
      if (event.data !== '') {
        yield* read(event.data);
      }
    }
  };
}
