import { AnswerEvent, ISource } from './transcript';

interface IWireError {
  readonly message?: string;
}

interface ICompletionChunk {
  readonly error?: IWireError;
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
  } | null;
}

interface IFileSearchResult {
  readonly file_id?: string;
  readonly filename?: string;
  readonly score?: number;
  readonly text?: string;
}

interface IResponseEvent {
  readonly type?: string;
  readonly delta?: string;
  readonly message?: string;
  readonly item?: {
    readonly type?: string;
    readonly results?: readonly IFileSearchResult[] | null;
  };
  readonly response?: {
    readonly usage?: {
      readonly input_tokens: number;
      readonly output_tokens: number;
    } | null;
    readonly error?: IWireError | null;
    readonly incomplete_details?: { readonly reason?: string } | null;
  };
}

/**
 * What one `data` line of a streamed chat completion says.
 *
 * @throws SyntaxError when it is no JSON
 */
export function fromCompletionChunk(data: string): AnswerEvent[] {
  if (data === '[DONE]') {
    return [];
  }
  const chunk: ICompletionChunk = JSON.parse(data);
  if (chunk.error) {
    return [{ type: 'error', message: chunk.error.message ?? data }];
  }
  const events: AnswerEvent[] = [];
  const choice = chunk.choices?.[0];
  if (choice?.delta?.content) {
    events.push({ type: 'text', text: choice.delta.content });
  }
  if (choice?.finish_reason) {
    events.push({ type: 'finish', reason: choice.finish_reason });
  }
  if (chunk.usage) {
    events.push({
      type: 'usage',
      promptTokens: chunk.usage.prompt_tokens,
      completionTokens: chunk.usage.completion_tokens
    });
  }
  return events;
}

/**
 * What one `data` line of a streamed response (`/v1/responses`) says.
 *
 * @throws SyntaxError when it is no JSON
 */
export function fromResponseEvent(data: string): AnswerEvent[] {
  if (data === '[DONE]') {
    return [];
  }
  const event: IResponseEvent & { readonly error?: IWireError } = JSON.parse(data);
  switch (event.type) {
    case 'response.output_text.delta':
      return [{ type: 'text', text: event.delta ?? '' }];
    case 'response.output_item.done':
      return fromFileSearch(event.item);
    case 'response.completed':
    case 'response.incomplete':
    case 'response.failed':
      return fromEndOfResponse(event);
    default:
      if (event.type === 'error' || event.error) {
        const message = event.error?.message ?? event.message ?? data;
        return [{ type: 'error', message }];
      }
      return [];
  }
}

function fromFileSearch(item: IResponseEvent['item']): AnswerEvent[] {
  if (item?.type !== 'file_search_call' || !item.results) {
    return [];
  }
  const sources = item.results.map((result): ISource => ({
    fileId: result.file_id ?? '',
    filename: result.filename ?? result.file_id ?? '',
    score: result.score ?? null,
    text: result.text ?? ''
  }));
  return [{ type: 'sources', sources }];
}

function fromEndOfResponse(event: IResponseEvent): AnswerEvent[] {
  const { usage, error, incomplete_details } = event.response ?? {};
  const events: AnswerEvent[] = [];
  if (usage) {
    events.push({
      type: 'usage',
      promptTokens: usage.input_tokens,
      completionTokens: usage.output_tokens
    });
  }
  if (event.type === 'response.failed') {
    events.push({ type: 'error', message: error?.message ?? '' });
  } else {
    const cut = incomplete_details?.reason === 'max_output_tokens';
    events.push({ type: 'finish', reason: cut ? 'length' : 'stop' });
  }
  return events;
}
