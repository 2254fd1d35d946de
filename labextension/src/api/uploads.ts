import { ArrayExt } from '@lumino/algorithm';
import { PromiseDelegate } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

import { ApiError, errorText, isAbort } from './errors';
import { IPerijoveClient, IUploads, IUploadTask, UploadState } from './tokens';
import { IFile, IUpload, IUploadPart } from './types';
import { forgetUpload, recallUpload, rememberUpload } from './uploadRecords';

/** Bytes of one part. */
export const PART_BYTES = 8 * 1024 * 1024;

/** How often a part is sent again after a failure that may pass, and the wait before it in ms (doubling). */
const PART_TRIES = 5;
const PART_WAIT = 500;

type Requests = Pick<IPerijoveClient, 'request'>;

/** Sends files in parts; what has arrived is not sent again after a reload, a pause or a cut. */
export class Uploads implements IUploads {
  readonly #client: Requests;

  constructor(client: Requests) {
    this.#client = client;
  }

  parallelParts = 2;

  get tasks(): readonly IUploadTask[] {
    return this.#tasks;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  start(file: File, purpose: string): IUploadTask {
    const task = new UploadTask(this.#client, file, purpose, () => this.parallelParts);
    task.changed.connect(this.#onTask, this);
    this.#tasks.push(task);
    task.resume();
    this.#changed.emit();
    return task;
  }

  dismiss(task: IUploadTask): void {
    if (ArrayExt.removeFirstOf(this.#tasks, task) >= 0) {
      Signal.disconnectBetween(task, this);
      this.#changed.emit();
    }
  }

  #onTask(): void {
    this.#changed.emit();
  }

  readonly #tasks: IUploadTask[] = [];
  readonly #changed = new Signal<this, void>(this);
}

/** One file on its way through `/v1/uploads`. */
export class UploadTask implements IUploadTask {
  readonly #client: Requests;
  readonly #parallel: () => number;

  constructor(
    client: Requests,
    readonly file: File,
    readonly purpose: string,
    parallel: () => number
  ) {
    this.#client = client;
    this.#parallel = parallel;
  }

  get state(): UploadState {
    return this.#state;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get error(): string | null {
    return this.#error;
  }

  get result(): IFile | null {
    return this.#result;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  pause(): void {
    if (this.#state === 'uploading' || this.#state === 'waiting') {
      this.#abort.abort();
      this.#become('paused');
    }
  }

  resume(): void {
    if (this.#state === 'waiting' || this.#state === 'paused' || this.#state === 'failed') {
      this.#abort = new AbortController();
      this.#settled = new PromiseDelegate<void>();
      this.#error = null;
      this.#become('uploading');
      void this.#run(this.#abort.signal);
    }
  }

  async cancel(): Promise<void> {
    if (this.#state === 'done' || this.#state === 'cancelled') {
      return;
    }
    this.#abort.abort();
    this.#become('cancelled');
    const id = this.#id ?? recallUpload(this.file, this.purpose);
    forgetUpload(this.file, this.purpose);
    if (id !== null) {
      // The platform drops an unfinished upload by itself in time, so this is only the tidier way.
      await this.#client
        .request(`/v1/uploads/${id}/cancel`, { method: 'POST' })
        .catch(() => undefined);
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    try {
      const id = await this.#begin(signal);
      await this.#sendParts(id, signal);
      this.#become('completing');
      const upload = await this.#client.request<IUpload>(`/v1/uploads/${id}/complete`, {
        json: { part_ids: this.#offsets().map(offset => this.#parts.get(offset)) },
        signal
      });
      forgetUpload(this.file, this.purpose);
      this.#result = upload.file ?? null;
      this.#become('done');
    } catch (error) {
      if (signal.aborted || isAbort(error)) {
        return;
      }
      this.#abort.abort();
      this.#error = errorText(error);
      this.#become('failed');
    }
  }

  /** Take up what the platform still holds of this file, or begin anew. @returns the upload's id */
  async #begin(signal: AbortSignal): Promise<string> {
    this.#parts.clear();
    const known = recallUpload(this.file, this.purpose);
    const upload =
      (known === null ? null : await this.#find(known, signal)) ?? (await this.#create(signal));
    for (const part of upload.parts ?? []) {
      if (typeof part.offset === 'number' && part.bytes === this.#length(part.offset)) {
        this.#parts.set(part.offset, part.id);
      }
    }
    this.#id = upload.id;
    return upload.id;
  }

  async #create(signal: AbortSignal): Promise<IUpload> {
    const upload = await this.#client.request<IUpload>('/v1/uploads', {
      json: {
        filename: this.file.name,
        purpose: this.purpose,
        bytes: this.file.size,
        mime_type: this.file.type || 'application/octet-stream'
      },
      signal
    });
    rememberUpload(this.file, this.purpose, upload.id);
    return upload;
  }

  /** The upload if it can still be gone on with. */
  async #find(id: string, signal: AbortSignal): Promise<IUpload | null> {
    try {
      const upload = await this.#client.request<IUpload>(`/v1/uploads/${id}`, { signal });
      return upload.status === 'pending' ? upload : null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        return null;
      }
      throw error;
    }
  }

  async #sendParts(id: string, signal: AbortSignal): Promise<void> {
    const missing = this.#offsets().filter(offset => !this.#parts.has(offset));
    this.#countSent();
    const worker = async (): Promise<void> => {
      for (let offset = missing.shift(); offset !== undefined; offset = missing.shift()) {
        const part = await this.#sendPart(id, offset, signal);
        this.#parts.set(offset, part.id);
        this.#countSent();
      }
    };
    const workers = Math.min(Math.max(1, Math.min(3, this.#parallel())), missing.length);
    await Promise.all(Array.from({ length: workers }, worker));
  }

  /** Where the parts begin. */
  #offsets(): number[] {
    const count = Math.ceil(this.file.size / PART_BYTES);
    return Array.from({ length: count }, (_, index) => index * PART_BYTES);
  }

  #length(offset: number): number {
    return Math.min(PART_BYTES, this.file.size - offset);
  }

  #countSent(): void {
    this.#sentBytes = [...this.#parts.keys()].reduce(
      (sum, offset) => sum + this.#length(offset),
      0
    );
    this.#changed.emit();
  }

  async #sendPart(id: string, offset: number, signal: AbortSignal): Promise<IUploadPart> {
    const data = this.file.slice(offset, offset + PART_BYTES);
    for (let attempt = 1; ; attempt++) {
      const body = new FormData();
      body.append('offset', String(offset));
      body.append('data', data, this.file.name);
      try {
        return await this.#client.request<IUploadPart>(`/v1/uploads/${id}/parts`, { body, signal });
      } catch (error) {
        if (signal.aborted || !mayPass(error) || attempt === PART_TRIES) {
          throw error;
        }
        await new Promise(resolve => setTimeout(resolve, PART_WAIT * 2 ** (attempt - 1)));
      }
    }
  }

  #become(state: UploadState): void {
    this.#state = state;
    if (state === 'done') {
      this.#sentBytes = this.file.size;
    }
    this.#changed.emit();
    if (state !== 'waiting' && state !== 'uploading' && state !== 'completing') {
      this.#settled.resolve();
    }
  }

  #state: UploadState = 'waiting';
  #sentBytes = 0;
  #error: string | null = null;
  #result: IFile | null = null;
  #id: string | null = null;
  /** Ids of the parts that have arrived, by where they begin. */
  readonly #parts = new Map<number, string>();
  #abort = new AbortController();
  #settled = new PromiseDelegate<void>();
  readonly #changed = new Signal<this, void>(this);
}

/** Whether the same part may be accepted a little later. */
function mayPass(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.status === 0 || error.status === 429 || (error.status >= 500 && error.status !== 507))
  );
}
