import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import { ApiError, isAbort } from './errors';
import { EventStream } from './events';
import { readServerEvents } from './sse';
import { PlatformStatus } from './status';
import { IPerijoveClient, IRequest, Query } from './tokens';
import { IObject, IPage } from './types';
import { Uploads } from './uploads';

/** Where the server extension passes requests on to the platform. */
const API = 'perijove/api';

/** Speaks to the platform through Jupyter, with Jupyter's own identity. */
export class PerijoveClient implements IPerijoveClient {
  readonly #settings: ServerConnection.ISettings;
  private readonly _trans: TranslationBundle;

  constructor(settings: ServerConnection.ISettings, trans: TranslationBundle) {
    this.#settings = settings;
    this._trans = trans;
    this.status = new PlatformStatus((path, method) => this.#jupyter(path, method), trans);
    this.events = new EventStream(this, this.status);
    this.uploads = new Uploads(this);
  }

  readonly status: PlatformStatus;
  readonly events: EventStream;
  readonly uploads: Uploads;

  url(path: string, query?: Query): string {
    return URLExt.join(this.#settings.baseUrl, API, path) + encodeQuery(query);
  }

  async raw(path: string, request: IRequest = {}): Promise<Response> {
    const response = await this.#send(this.url(path, request.query), request);
    if (!response.ok) {
      throw await ApiError.from(response);
    }
    return response;
  }

  async request<T>(path: string, request: IRequest = {}): Promise<T> {
    const response = await this.raw(path, request);
    return response.json();
  }

  list<T extends IObject>(
    path: string,
    query: Query = {},
    signal?: AbortSignal
  ): Promise<IPage<T>> {
    return this.request<IPage<T>>(path, { query, signal });
  }

  async *each<T extends IObject>(
    path: string,
    query: Query = {}
  ): AsyncGenerator<T, void, undefined> {
    let after: string | undefined;
    for (;;) {
      const page = await this.list<T>(path, after === undefined ? query : { ...query, after });
      yield* page.data;
      const last = page.data[page.data.length - 1];
      if (!page.has_more || last === undefined) {
        return;
      }
      after = last.id;
    }
  }

  async *stream(path: string, request: IRequest = {}): ReturnType<typeof readServerEvents> {
    const headers = { Accept: 'text/event-stream', ...request.headers };
    const response = await this.raw(path, { ...request, headers });
    if (response.body) {
      yield* readServerEvents(response.body);
    }
  }

  async #send(url: string, request: IRequest): Promise<Response> {
    const headers: Record<string, string> = { ...request.headers };
    let body = request.body;
    if (request.json !== undefined) {
      headers['Content-Type'] = 'application/json';
      body = JSON.stringify(request.json);
    }
    const method = request.method ?? (body === undefined ? 'GET' : 'POST');
    try {
      return await ServerConnection.makeRequest(
        url,
        { method, headers, body, signal: request.signal, cache: 'no-cache' },
        this.#settings
      );
    } catch (error) {
      if (request.signal?.aborted || isAbort(error)) {
        throw new DOMException('', 'AbortError');
      }
      throw new ApiError(
        this._trans.__('The Jupyter server does not answer. Is it still running?'),
        0,
        null,
        'no_answer'
      );
    }
  }

  async #jupyter(path: string, method: string): Promise<Response> {
    return this.#send(URLExt.join(this.#settings.baseUrl, 'perijove', path), { method });
  }
}

function encodeQuery(query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return URLExt.objectToQueryString(Object.fromEntries(given) as Record<string, string>);
}
