import { ISignal, Signal } from '@lumino/signaling';

import { DEFAULT_PARAMETERS, IChatParameters } from './parameters';
import { IAnswerRequest, toRequest } from './requests';
import { AnswerEvent, applyEvent, finishAnswer, forReload, IMessage } from './transcript';

/**
 * Sends a question and yields the answer as it comes.
 *
 * @throws Error with a message for the person when the request is refused;
 *   whatever it likes once `signal` is aborted
 */
export type AnswerStream = (
  request: IAnswerRequest,
  signal: AbortSignal
) => AsyncIterable<AnswerEvent>;

/** What a conversation looks like after a reload. */
export interface IChatState {
  readonly model: string;
  readonly parameters: IChatParameters;
  readonly vectorStoreIds: readonly string[];
  readonly messages: readonly IMessage[];
}

/**
 * A conversation with a model: at most one answer is under way at a time.
 */
export class ChatSession {
  readonly #stream: AnswerStream;

  constructor(stream: AnswerStream) {
    this.#stream = stream;
  }

  /** Emitted after every change of anything below. */
  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  get messages(): readonly IMessage[] {
    return this.#messages;
  }

  /** An answer is waited for or is coming in. */
  get busy(): boolean {
    return this.#abort !== null;
  }

  get model(): string {
    return this.#model;
  }
  set model(value: string) {
    this.#model = value;
    this.#changed.emit();
  }

  get parameters(): IChatParameters {
    return this.#parameters;
  }
  set parameters(value: IChatParameters) {
    this.#parameters = value;
    this.#changed.emit();
  }

  get vectorStoreIds(): readonly string[] {
    return this.#vectorStoreIds;
  }
  set vectorStoreIds(value: readonly string[]) {
    this.#vectorStoreIds = value;
    this.#changed.emit();
  }

  /** What to keep for a reload, bounded in size. */
  get state(): IChatState {
    return {
      model: this.#model,
      parameters: this.#parameters,
      vectorStoreIds: this.#vectorStoreIds,
      messages: forReload(this.#messages)
    };
  }

  /** Take up a conversation that was kept. */
  restore(state: IChatState): void {
    this.stop();
    this.#model = state.model;
    this.#parameters = { ...DEFAULT_PARAMETERS, ...state.parameters };
    this.#vectorStoreIds = state.vectorStoreIds;
    this.#messages = state.messages;
    this.#nextId = 1 + Math.max(0, ...state.messages.map(one => one.id));
    this.#changed.emit();
  }

  /** Ask; resolves when the answer has ended, in whatever way. */
  async send(text: string): Promise<void> {
    if (this.busy || text.trim() === '' || this.#model === '') {
      return;
    }
    this.#messages = [
      ...this.#messages,
      { id: this.#nextId++, role: 'user', content: text, state: 'complete' }
    ];
    await this.#answer();
  }

  /** Answer the last question before this message again, from there on. */
  async regenerate(id: number): Promise<void> {
    const at = this.#messages.findIndex(message => message.id === id);
    if (this.busy || at < 0) {
      return;
    }
    const isAnswer = this.#messages[at].role === 'assistant';
    this.#messages = this.#messages.slice(0, isAnswer ? at : at + 1);
    await this.#answer();
  }

  /** Put a question differently; what followed it is dropped. */
  async edit(id: number, text: string): Promise<void> {
    const at = this.#messages.findIndex(message => message.id === id);
    if (this.busy || at < 0 || text.trim() === '') {
      return;
    }
    this.#messages = this.#messages.slice(0, at);
    await this.send(text);
  }

  /** Abort the request that is under way; what has arrived stays. */
  stop(): void {
    this.#abort?.abort();
  }

  /** Forget the conversation, not the settings. */
  clear(): void {
    this.stop();
    this.#messages = [];
    this.#changed.emit();
  }

  dispose(): void {
    this.stop();
    Signal.clearData(this);
  }

  async #answer(): Promise<void> {
    const abort = new AbortController();
    const started = performance.now();
    const elapsed = () => performance.now() - started;
    const request = toRequest(this.#model, this.#messages, this.#parameters, this.#vectorStoreIds);
    let answer: IMessage = {
      id: this.#nextId++,
      role: 'assistant',
      content: '',
      state: 'waiting',
      model: this.#model
    };
    this.#abort = abort;
    this.#put(answer);
    try {
      for await (const event of this.#stream(request, abort.signal)) {
        if (abort.signal.aborted) {
          break;
        }
        answer = applyEvent(answer, event, elapsed());
        this.#put(answer);
      }
      answer = finishAnswer(answer, abort.signal.aborted ? 'stopped' : 'complete', elapsed());
    } catch (error) {
      answer = abort.signal.aborted
        ? finishAnswer(answer, 'stopped', elapsed())
        : finishAnswer(answer, 'failed', elapsed(), messageOf(error));
    } finally {
      if (this.#abort === abort) {
        this.#abort = null;
      }
      this.#put(answer);
    }
  }

  /** Replace the answer, unless it was cleared away meanwhile. */
  #put(answer: IMessage): void {
    const at = this.#messages.findIndex(message => message.id === answer.id);
    if (at >= 0) {
      this.#messages = this.#messages.map(message => (message.id === answer.id ? answer : message));
    } else if (answer.state === 'waiting') {
      this.#messages = [...this.#messages, answer];
    }
    this.#changed.emit();
  }

  #abort: AbortController | null = null;
  #changed = new Signal<this, void>(this);
  #messages: readonly IMessage[] = [];
  #model = '';
  #nextId = 1;
  #parameters: IChatParameters = DEFAULT_PARAMETERS;
  #vectorStoreIds: readonly string[] = [];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
