import { IChatParameters, toSampling } from './parameters';
import { IMessage, toPrompt } from './transcript';

/** A question as it is sent, and how its answer is to be read. */
export interface IAnswerRequest {
  readonly api: 'chat/completions' | 'responses';
  readonly body: Readonly<Record<string, unknown>>;
}

/** How many passages ground an answer. */
const MAX_SOURCES = 5;

/**
 * The request for the next answer of a conversation.
 *
 * Without vector stores it is a chat completion; with them the responses API
 * searches them first.
 */
export function toRequest(
  model: string,
  messages: readonly IMessage[],
  parameters: IChatParameters,
  vectorStoreIds: readonly string[]
): IAnswerRequest {
  const sampling = toSampling(parameters);
  if (vectorStoreIds.length === 0) {
    return {
      api: 'chat/completions',
      body: {
        model,
        messages: toPrompt(messages, parameters.system),
        stream: true,
        stream_options: { include_usage: true },
        ...sampling
      }
    };
  }
  const system = parameters.system.trim();
  return {
    api: 'responses',
    body: {
      model,
      input: toPrompt(messages, ''),
      stream: true,
      store: false,
      include: ['file_search_call.results'],
      tools: [
        {
          type: 'file_search',
          vector_store_ids: [...vectorStoreIds],
          max_num_results: MAX_SOURCES
        }
      ],
      ...(system === '' ? {} : { instructions: system }),
      ...defined('temperature', sampling.temperature),
      ...defined('top_p', sampling.top_p),
      ...defined('max_output_tokens', sampling.max_tokens)
    }
  };
}

function defined(name: string, value: number | undefined) {
  return value === undefined ? {} : { [name]: value };
}
