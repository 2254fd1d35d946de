import { Token } from '@lumino/coreutils';
import { ISignal } from '@lumino/signaling';

import { IServerEvent } from './sse';
import { IFile, IObject, IPage, IPlatformEvent, IPlatformStatus } from './types';

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** A request to the platform. */
export interface IRequest {
  /** `GET`, or `POST` when there is a body. */
  readonly method?: string;
  readonly query?: Query;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/**
 * The platform's events, one stream per Lab whatever the number of listeners.
 *
 * The stream is opened with the first `changes()` and then kept open; it resumes where it was cut.
 */
export interface IEventStream {
  /** Events whose type begins with this object, e.g. `fine_tuning.job` (not those of `fine_tuning.job.event`). */
  changes<T = unknown>(object: string): ISignal<IEventStream, IPlatformEvent<T>>;
  /** Events were missed: whoever shows a list reads it again. */
  readonly reset: ISignal<IEventStream, void>;
}

/** How the platform is. */
export interface IStatusSource {
  /** `null` until the first answer. */
  readonly current: IPlatformStatus | null;
  readonly changed: ISignal<IStatusSource, IPlatformStatus>;
  /** Ask again now. */
  refresh(): Promise<IPlatformStatus>;
  /** Start the embedded platform again. */
  restart(): Promise<void>;
  /** Resolves when the platform is next ready, at once when it is. */
  whenReady(): Promise<void>;
}

export type UploadState =
  'waiting' | 'uploading' | 'completing' | 'done' | 'paused' | 'failed' | 'cancelled';

/** One file on its way. */
export interface IUploadTask {
  readonly file: File;
  readonly purpose: string;
  readonly state: UploadState;
  readonly sentBytes: number;
  /** Why it failed. */
  readonly error: string | null;
  /** The platform's file once done. */
  readonly result: IFile | null;
  readonly changed: ISignal<IUploadTask, void>;
  /** Settles when the upload is done, failed, paused or cancelled; never rejects. */
  readonly settled: Promise<void>;
  pause(): void;
  /** Go on after `pause()` or a failure. */
  resume(): void;
  cancel(): Promise<void>;
}

/** Resumable uploads in parts. */
export interface IUploads {
  /** Those in progress and those that ended and were not dismissed. */
  readonly tasks: readonly IUploadTask[];
  readonly changed: ISignal<IUploads, void>;
  /** Parts sent side by side, 1 to 3. */
  parallelParts: number;
  /** Begin; takes up an earlier upload of the same file (name, size, time of change) where it stopped. */
  start(file: File, purpose: string): IUploadTask;
  /** Forget an upload that has ended. */
  dismiss(task: IUploadTask): void;
}

/** The one way from the panels to the platform. Paths begin with `/v1/`. */
export interface IPerijoveClient {
  readonly status: IStatusSource;
  readonly events: IEventStream;
  readonly uploads: IUploads;
  /** The address of a path for the browser itself (downloads). */
  url(path: string, query?: Query): string;
  /** @throws ApiError unless the answer is a success */
  raw(path: string, request?: IRequest): Promise<Response>;
  /** The JSON answer. @throws ApiError */
  request<T>(path: string, request?: IRequest): Promise<T>;
  /** One page. */
  list<T extends IObject>(path: string, query?: Query, signal?: AbortSignal): Promise<IPage<T>>;
  /** Every object of a list, page after page. */
  each<T extends IObject>(path: string, query?: Query): AsyncGenerator<T, void, undefined>;
  /** Server-sent events of any route; ending the iteration or `request.signal` ends the request. */
  stream(path: string, request?: IRequest): AsyncGenerator<IServerEvent, void, undefined>;
}

export const IPerijoveClient = new Token<IPerijoveClient>(
  '@perijove/labextension:IPerijoveClient',
  'Requests to the Perijove platform, its events and uploads.'
);
