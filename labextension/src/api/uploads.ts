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
  constructor(private readonly _client: Requests) {}

  parallelParts = 2;

  get tasks(): readonly IUploadTask[] {
    return this._tasks;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  start(file: File, purpose: string): IUploadTask {
    const task = new UploadTask(this._client, file, purpose, () => this.parallelParts);
    task.changed.connect(this._onTask, this);
    this._tasks.push(task);
    task.resume();
    this._changed.emit();
    return task;
  }

  dismiss(task: IUploadTask): void {
    if (ArrayExt.removeFirstOf(this._tasks, task) >= 0) {
      Signal.disconnectBetween(task, this);
      this._changed.emit();
    }
  }

  private _onTask(): void {
    this._changed.emit();
  }

  private readonly _tasks: IUploadTask[] = [];
  private readonly _changed = new Signal<this, void>(this);
}

/** One file on its way through `/v1/uploads`. */
export class UploadTask implements IUploadTask {
  constructor(
    private readonly _client: Requests,
    readonly file: File,
    readonly purpose: string,
    private readonly _parallel: () => number
  ) {}

  get state(): UploadState {
    return this._state;
  }

  get sentBytes(): number {
    return this._sentBytes;
  }

  get error(): string | null {
    return this._error;
  }

  get result(): IFile | null {
    return this._result;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get settled(): Promise<void> {
    return this._settled.promise;
  }

  pause(): void {
    if (this._state === 'uploading' || this._state === 'waiting') {
      this._abort.abort();
      this._become('paused');
    }
  }

  resume(): void {
    if (this._state === 'waiting' || this._state === 'paused' || this._state === 'failed') {
      this._abort = new AbortController();
      this._settled = new PromiseDelegate<void>();
      this._error = null;
      this._become('uploading');
      void this._run(this._abort.signal);
    }
  }

  async cancel(): Promise<void> {
    if (this._state === 'done' || this._state === 'cancelled') {
      return;
    }
    this._abort.abort();
    this._become('cancelled');
    const id = this._id ?? recallUpload(this.file, this.purpose);
    forgetUpload(this.file, this.purpose);
    if (id !== null) {
      // The platform drops an unfinished upload by itself in time, so this is only the tidier way.
      await this._client
        .request(`/v1/uploads/${id}/cancel`, { method: 'POST' })
        .catch(() => undefined);
    }
  }

  private async _run(signal: AbortSignal): Promise<void> {
    try {
      const id = await this._begin(signal);
      await this._sendParts(id, signal);
      this._become('completing');
      const upload = await this._client.request<IUpload>(`/v1/uploads/${id}/complete`, {
        json: { part_ids: this._offsets().map(offset => this._parts.get(offset)) },
        signal
      });
      forgetUpload(this.file, this.purpose);
      this._result = upload.file ?? null;
      this._become('done');
    } catch (error) {
      if (signal.aborted || isAbort(error)) {
        return;
      }
      this._abort.abort();
      this._error = errorText(error);
      this._become('failed');
    }
  }

  /** Take up what the platform still holds of this file, or begin anew. @returns the upload's id */
  private async _begin(signal: AbortSignal): Promise<string> {
    this._parts.clear();
    const known = recallUpload(this.file, this.purpose);
    const upload =
      (known === null ? null : await this._find(known, signal)) ?? (await this._create(signal));
    for (const part of upload.parts ?? []) {
      if (typeof part.offset === 'number' && part.bytes === this._length(part.offset)) {
        this._parts.set(part.offset, part.id);
      }
    }
    this._id = upload.id;
    return upload.id;
  }

  private async _create(signal: AbortSignal): Promise<IUpload> {
    const upload = await this._client.request<IUpload>('/v1/uploads', {
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
  private async _find(id: string, signal: AbortSignal): Promise<IUpload | null> {
    try {
      const upload = await this._client.request<IUpload>(`/v1/uploads/${id}`, { signal });
      return upload.status === 'pending' ? upload : null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        return null;
      }
      throw error;
    }
  }

  private async _sendParts(id: string, signal: AbortSignal): Promise<void> {
    const missing = this._offsets().filter(offset => !this._parts.has(offset));
    this._countSent();
    const worker = async (): Promise<void> => {
      for (let offset = missing.shift(); offset !== undefined; offset = missing.shift()) {
        const part = await this._sendPart(id, offset, signal);
        this._parts.set(offset, part.id);
        this._countSent();
      }
    };
    const workers = Math.min(Math.max(1, Math.min(3, this._parallel())), missing.length);
    await Promise.all(Array.from({ length: workers }, worker));
  }

  /** Where the parts begin. */
  private _offsets(): number[] {
    const count = Math.ceil(this.file.size / PART_BYTES);
    return Array.from({ length: count }, (_, index) => index * PART_BYTES);
  }

  private _length(offset: number): number {
    return Math.min(PART_BYTES, this.file.size - offset);
  }

  private _countSent(): void {
    this._sentBytes = [...this._parts.keys()].reduce(
      (sum, offset) => sum + this._length(offset),
      0
    );
    this._changed.emit();
  }

  private async _sendPart(id: string, offset: number, signal: AbortSignal): Promise<IUploadPart> {
    const data = this.file.slice(offset, offset + PART_BYTES);
    for (let attempt = 1; ; attempt++) {
      const body = new FormData();
      body.append('offset', String(offset));
      body.append('data', data, this.file.name);
      try {
        return await this._client.request<IUploadPart>(`/v1/uploads/${id}/parts`, { body, signal });
      } catch (error) {
        if (signal.aborted || !mayPass(error) || attempt === PART_TRIES) {
          throw error;
        }
        await new Promise(resolve => setTimeout(resolve, PART_WAIT * 2 ** (attempt - 1)));
      }
    }
  }

  private _become(state: UploadState): void {
    this._state = state;
    if (state === 'done') {
      this._sentBytes = this.file.size;
    }
    this._changed.emit();
    if (state !== 'waiting' && state !== 'uploading' && state !== 'completing') {
      this._settled.resolve();
    }
  }

  private _state: UploadState = 'waiting';
  private _sentBytes = 0;
  private _error: string | null = null;
  private _result: IFile | null = null;
  private _id: string | null = null;
  /** Ids of the parts that have arrived, by where they begin. */
  private readonly _parts = new Map<number, string>();
  private _abort = new AbortController();
  private _settled = new PromiseDelegate<void>();
  private readonly _changed = new Signal<this, void>(this);
}

/** Whether the same part may be accepted a little later. */
function mayPass(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.status === 0 || error.status === 429 || (error.status >= 500 && error.status !== 507))
  );
}
