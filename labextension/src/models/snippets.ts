import { IModel } from '../api';
import { clientSnippet, curlSnippet, ObjectListModel, SnippetMaker } from '../core';

const MESSAGES = [{ role: 'user', content: 'Why is the sky blue?' }];
const INPUT = ['Why is the sky blue?'];

/** Code that asks a model; an embedding model is asked for vectors. */
export function modelSnippets(models: ObjectListModel<IModel>): SnippetMaker {
  const embeds = (id: string): boolean => models.find(id)?.kind === 'embedding';
  return {
    client: id => (embeds(id) ? embeddingClient(id) : chatClient(id)),
    // Vectors have no magic, so the magic of such a model is its list.
    magic: id => (embeds(id) ? '%perijove models' : `%%chat --model ${id}\n${MESSAGES[0].content}`),
    curl: id =>
      embeds(id)
        ? curlSnippet('/v1/embeddings', { model: id, input: INPUT })
        : curlSnippet('/v1/chat/completions', { model: id, messages: MESSAGES })
  };
}

function chatClient(id: string): string {
  return clientSnippet(
    'response = client.chat.completions.create(',
    `    model=${JSON.stringify(id)},`,
    `    messages=${JSON.stringify(MESSAGES)},`,
    ')',
    'print(response.choices[0].message.content)'
  );
}

function embeddingClient(id: string): string {
  return clientSnippet(
    `response = client.embeddings.create(model=${JSON.stringify(id)}, input=${JSON.stringify(INPUT)})`,
    'len(response.data[0].embedding)'
  );
}
