import { IEventStream, IPerijoveClient } from '../api/tokens';
import { IDeleted, IPlatformEvent } from '../api/types';
import { ISignal, Signal } from '@lumino/signaling';
import { IStoreForm, toStoreRequest } from './form';
import { Attributes, ISearchResult, IStoreFile, IVectorStore } from './types';

const STORES = '/v1/vector_stores';

/** A file of a store that was changed or removed. */
export interface IStoreFileChange {
  readonly storeId: string;
  readonly file: IStoreFile;
  readonly removed: boolean;
}

/** What can be asked of the platform about vector stores, and what it tells by itself. */
export class VectorStoresApi {
  constructor(private readonly _client: IPerijoveClient) {
    const { events } = _client;
    events.changes<IVectorStore>('vector_store').connect(this._onStore, this);
    events.changes<IStoreFile>('vector_store.file').connect(this._onFile, this);
    events.reset.connect(this._onReset, this);
  }

  /** A store was created, changed or (`status` unknown) deleted. */
  get storeChanged(): ISignal<this, IPlatformEvent<IVectorStore>> {
    return this._storeChanged;
  }

  get fileChanged(): ISignal<this, IStoreFileChange> {
    return this._fileChanged;
  }

  get reset(): ISignal<this, void> {
    return this._reset;
  }

  async all(): Promise<IVectorStore[]> {
    const stores: IVectorStore[] = [];
    for await (const store of this._client.each<IVectorStore>(STORES, { limit: 100 })) {
      stores.push(store);
    }
    return stores;
  }

  retrieve(id: string): Promise<IVectorStore> {
    return this._client.request<IVectorStore>(path(id));
  }

  /** @param key - the same for every attempt to create the same store */
  create(form: IStoreForm, key: string): Promise<IVectorStore> {
    return this._client.request<IVectorStore>(STORES, {
      json: toStoreRequest(form),
      headers: { 'Idempotency-Key': key }
    });
  }

  rename(id: string, name: string): Promise<IVectorStore> {
    return this._client.request<IVectorStore>(path(id), { json: { name } });
  }

  delete(id: string): Promise<IDeleted> {
    return this._client.request<IDeleted>(path(id), { method: 'DELETE' });
  }

  async files(id: string): Promise<IStoreFile[]> {
    const files: IStoreFile[] = [];
    for await (const file of this._client.each<IStoreFile>(`${path(id)}/files`, { limit: 100 })) {
      files.push(file);
    }
    return files;
  }

  async addFiles(id: string, fileIds: readonly string[]): Promise<void> {
    await this._client.request(`${path(id)}/file_batches`, { json: { file_ids: fileIds } });
  }

  removeFile(id: string, fileId: string): Promise<IDeleted> {
    return this._client.request<IDeleted>(filePath(id, fileId), { method: 'DELETE' });
  }

  setAttributes(id: string, fileId: string, attributes: Attributes): Promise<IStoreFile> {
    return this._client.request<IStoreFile>(filePath(id, fileId), { json: { attributes } });
  }

  async search(
    id: string,
    query: string,
    count: number,
    signal: AbortSignal
  ): Promise<readonly ISearchResult[]> {
    const page = await this._client.request<{ data: readonly ISearchResult[] }>(
      `${path(id)}/search`,
      { json: { query, max_num_results: count }, signal }
    );
    return page.data;
  }

  private _onStore(_: IEventStream, event: IPlatformEvent<IVectorStore>): void {
    this._storeChanged.emit(event);
  }

  private _onFile(_: IEventStream, event: IPlatformEvent<IStoreFile>): void {
    this._fileChanged.emit({
      storeId: event.data.vector_store_id,
      file: event.data,
      removed: event.type.endsWith('.deleted')
    });
  }

  private _onReset(): void {
    this._reset.emit();
  }

  private readonly _fileChanged = new Signal<this, IStoreFileChange>(this);
  private readonly _reset = new Signal<this, void>(this);
  private readonly _storeChanged = new Signal<this, IPlatformEvent<IVectorStore>>(this);
}

function path(id: string): string {
  return `${STORES}/${encodeURIComponent(id)}`;
}

function filePath(id: string, fileId: string): string {
  return `${path(id)}/files/${encodeURIComponent(fileId)}`;
}
