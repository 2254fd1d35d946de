/** Where a passage that grounds an answer came from. */
export interface ISource {
  readonly fileId: string;
  readonly filename: string;
  readonly score: number | null;
  readonly text: string;
}

/** What an answer cost. Times in milliseconds. */
export interface IAnswerStats {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly firstTokenMs: number | null;
  readonly totalMs: number;
}

/** How an answer stands. A question is always `complete`. */
export type MessageState = 'waiting' | 'streaming' | 'complete' | 'stopped' | 'failed';

/** One turn of the conversation. */
export interface IMessage {
  readonly id: number;
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly state: MessageState;
  /** The model that answered. */
  readonly model?: string;
  readonly error?: string;
  /** The answer ended because it reached the token limit. */
  readonly cutShort?: boolean;
  readonly stats?: IAnswerStats;
  readonly sources?: readonly ISource[];
}

/** What a stream of an answer can say, whichever API it came from. */
export type AnswerEvent =
  | { readonly type: 'text'; readonly text: string }
  | {
      readonly type: 'usage';
      readonly promptTokens: number;
      readonly completionTokens: number;
    }
  | { readonly type: 'finish'; readonly reason: string }
  | { readonly type: 'sources'; readonly sources: readonly ISource[] }
  | { readonly type: 'error'; readonly message: string };

/** The longest conversation that is kept for a reload, in characters. */
export const MAX_KEPT_CHARACTERS = 200_000;

/** The most turns that are kept for a reload. */
export const MAX_KEPT_MESSAGES = 200;

/**
 * An answer after one more event.
 *
 * @param elapsedMs - since the request was sent
 */
export function applyEvent(message: IMessage, event: AnswerEvent, elapsedMs: number): IMessage {
  const stats = message.stats ?? emptyStats();
  switch (event.type) {
    case 'text':
      if (event.text === '') {
        return message;
      }
      return {
        ...message,
        state: 'streaming',
        content: message.content + event.text,
        stats: { ...stats, firstTokenMs: stats.firstTokenMs ?? elapsedMs }
      };
    case 'usage':
      return {
        ...message,
        stats: {
          ...stats,
          promptTokens: event.promptTokens,
          completionTokens: event.completionTokens
        }
      };
    case 'finish':
      return { ...message, cutShort: event.reason === 'length' };
    case 'sources':
      return { ...message, sources: event.sources };
    case 'error':
      return { ...message, state: 'failed', error: event.message };
  }
}

/**
 * An answer whose stream has ended.
 *
 * @param outcome - `failed` keeps an error that the stream reported itself
 */
export function finishAnswer(
  message: IMessage,
  outcome: 'complete' | 'stopped' | 'failed',
  elapsedMs: number,
  error?: string
): IMessage {
  const failed = message.state === 'failed';
  return {
    ...message,
    state: failed ? 'failed' : outcome,
    error: message.error ?? error,
    stats: { ...(message.stats ?? emptyStats()), totalMs: elapsedMs }
  };
}

/**
 * Tokens per second of the generation alone, without the wait for the first.
 */
export function tokensPerSecond(stats: IAnswerStats): number | null {
  const { completionTokens, firstTokenMs, totalMs } = stats;
  if (completionTokens === null || firstTokenMs === null) {
    return null;
  }
  const seconds = (totalMs - firstTokenMs) / 1000;
  return completionTokens > 1 && seconds > 0 ? (completionTokens - 1) / seconds : null;
}

/**
 * The turns that the model is shown: failed and empty answers are left out,
 * together with the question that they were to answer.
 */
export function toPrompt(
  messages: readonly IMessage[],
  system: string
): { role: 'system' | 'user' | 'assistant'; content: string }[] {
  const prompt: { role: 'system' | 'user' | 'assistant'; content: string }[] =
    system.trim() === '' ? [] : [{ role: 'system', content: system }];
  messages.forEach((message, index) => {
    const answer = messages[index + 1];
    const unanswered =
      message.role === 'user' &&
      answer?.role === 'assistant' &&
      index + 1 < messages.length - 1 &&
      answer.content === '';
    if (message.content !== '' && !unanswered) {
      prompt.push({ role: message.role, content: message.content });
    }
  });
  return prompt;
}

/**
 * The newest turns that fit into the bounds, for a reload. An answer that was
 * under way counts as stopped, because its stream does not survive the page.
 */
export function forReload(messages: readonly IMessage[]): IMessage[] {
  const kept: IMessage[] = [];
  let characters = 0;
  for (const message of messages.slice(-MAX_KEPT_MESSAGES).reverse()) {
    characters += message.content.length;
    if (characters > MAX_KEPT_CHARACTERS) {
      break;
    }
    const underWay = message.state === 'waiting' || message.state === 'streaming';
    kept.push(underWay ? { ...message, state: 'stopped' } : message);
  }
  kept.reverse();
  // A conversation that starts with an answer makes no sense to a model.
  return kept[0]?.role === 'assistant' ? kept.slice(1) : kept;
}

function emptyStats(): IAnswerStats {
  return {
    promptTokens: null,
    completionTokens: null,
    firstTokenMs: null,
    totalMs: 0
  };
}
