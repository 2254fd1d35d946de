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
  constructor(private readonly _stream: AnswerStream) {}

  /** Emitted after every change of anything below. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get messages(): readonly IMessage[] {
    return this._messages;
  }

  /** An answer is waited for or is coming in. */
  get busy(): boolean {
    return this._abort !== null;
  }

  get model(): string {
    return this._model;
  }
  set model(value: string) {
    this._model = value;
    this._changed.emit();
  }

  get parameters(): IChatParameters {
    return this._parameters;
  }
  set parameters(value: IChatParameters) {
    this._parameters = value;
    this._changed.emit();
  }

  get vectorStoreIds(): readonly string[] {
    return this._vectorStoreIds;
  }
  set vectorStoreIds(value: readonly string[]) {
    this._vectorStoreIds = value;
    this._changed.emit();
  }

  /** What to keep for a reload, bounded in size. */
  get state(): IChatState {
    return {
      model: this._model,
      parameters: this._parameters,
      vectorStoreIds: this._vectorStoreIds,
      messages: forReload(this._messages)
    };
  }

  /** Take up a conversation that was kept. */
  restore(state: IChatState): void {
    this.stop();
    this._model = state.model;
    this._parameters = { ...DEFAULT_PARAMETERS, ...state.parameters };
    this._vectorStoreIds = state.vectorStoreIds;
    this._messages = state.messages;
    this._nextId = 1 + Math.max(0, ...state.messages.map(one => one.id));
    this._changed.emit();
  }

  /** Ask; resolves when the answer has ended, in whatever way. */
  async send(text: string): Promise<void> {
    if (this.busy || text.trim() === '' || this._model === '') {
      return;
    }
    this._messages = [
      ...this._messages,
      { id: this._nextId++, role: 'user', content: text, state: 'complete' }
    ];
    await this._answer();
  }

  /** Answer the last question before this message again, from there on. */
  async regenerate(id: number): Promise<void> {
    const at = this._messages.findIndex(message => message.id === id);
    if (this.busy || at < 0) {
      return;
    }
    const isAnswer = this._messages[at].role === 'assistant';
    this._messages = this._messages.slice(0, isAnswer ? at : at + 1);
    await this._answer();
  }

  /** Put a question differently; what followed it is dropped. */
  async edit(id: number, text: string): Promise<void> {
    const at = this._messages.findIndex(message => message.id === id);
    if (this.busy || at < 0 || text.trim() === '') {
      return;
    }
    this._messages = this._messages.slice(0, at);
    await this.send(text);
  }

  /** Abort the request that is under way; what has arrived stays. */
  stop(): void {
    this._abort?.abort();
  }

  /** Forget the conversation, not the settings. */
  clear(): void {
    this.stop();
    this._messages = [];
    this._changed.emit();
  }

  dispose(): void {
    this.stop();
    Signal.clearData(this);
  }

  private async _answer(): Promise<void> {
    const abort = new AbortController();
    const started = performance.now();
    const elapsed = () => performance.now() - started;
    const request = toRequest(this._model, this._messages, this._parameters, this._vectorStoreIds);
    let answer: IMessage = {
      id: this._nextId++,
      role: 'assistant',
      content: '',
      state: 'waiting',
      model: this._model
    };
    this._abort = abort;
    this._put(answer);
    try {
      for await (const event of this._stream(request, abort.signal)) {
        if (abort.signal.aborted) {
          break;
        }
        answer = applyEvent(answer, event, elapsed());
        this._put(answer);
      }
      answer = finishAnswer(answer, abort.signal.aborted ? 'stopped' : 'complete', elapsed());
    } catch (error) {
      answer = abort.signal.aborted
        ? finishAnswer(answer, 'stopped', elapsed())
        : finishAnswer(answer, 'failed', elapsed(), messageOf(error));
    } finally {
      if (this._abort === abort) {
        this._abort = null;
      }
      this._put(answer);
    }
  }

  /** Replace the answer, unless it was cleared away meanwhile. */
  private _put(answer: IMessage): void {
    const at = this._messages.findIndex(message => message.id === answer.id);
    if (at >= 0) {
      this._messages = this._messages.map(message => (message.id === answer.id ? answer : message));
    } else if (answer.state === 'waiting') {
      this._messages = [...this._messages, answer];
    }
    this._changed.emit();
  }

  private _abort: AbortController | null = null;
  private _changed = new Signal<this, void>(this);
  private _messages: readonly IMessage[] = [];
  private _model = '';
  private _nextId = 1;
  private _parameters: IChatParameters = DEFAULT_PARAMETERS;
  private _vectorStoreIds: readonly string[] = [];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
