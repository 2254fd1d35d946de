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
  readonly #client: IPerijoveClient;

  constructor(client: IPerijoveClient) {
    this.#client = client;
    const { events } = client;
    events.changes<IVectorStore>('vector_store').connect(this.#onStore, this);
    events.changes<IStoreFile>('vector_store.file').connect(this.#onFile, this);
    events.reset.connect(this.#onReset, this);
  }

  /** A store was created, changed or (`status` unknown) deleted. */
  get storeChanged(): ISignal<this, IPlatformEvent<IVectorStore>> {
    return this.#storeChanged;
  }

  get fileChanged(): ISignal<this, IStoreFileChange> {
    return this.#fileChanged;
  }

  get reset(): ISignal<this, void> {
    return this.#reset;
  }

  async all(): Promise<IVectorStore[]> {
    const stores: IVectorStore[] = [];
    for await (const store of this.#client.each<IVectorStore>(STORES, { limit: 100 })) {
      stores.push(store);
    }
    return stores;
  }

  retrieve(id: string): Promise<IVectorStore> {
    return this.#client.request<IVectorStore>(path(id));
  }

  /** @param key - the same for every attempt to create the same store */
  create(form: IStoreForm, key: string): Promise<IVectorStore> {
    return this.#client.request<IVectorStore>(STORES, {
      json: toStoreRequest(form),
      headers: { 'Idempotency-Key': key }
    });
  }

  rename(id: string, name: string): Promise<IVectorStore> {
    return this.#client.request<IVectorStore>(path(id), { json: { name } });
  }

  delete(id: string): Promise<IDeleted> {
    return this.#client.request<IDeleted>(path(id), { method: 'DELETE' });
  }

  async files(id: string): Promise<IStoreFile[]> {
    const files: IStoreFile[] = [];
    for await (const file of this.#client.each<IStoreFile>(`${path(id)}/files`, { limit: 100 })) {
      files.push(file);
    }
    return files;
  }

  async addFiles(id: string, fileIds: readonly string[]): Promise<void> {
    await this.#client.request(`${path(id)}/file_batches`, { json: { file_ids: fileIds } });
  }

  removeFile(id: string, fileId: string): Promise<IDeleted> {
    return this.#client.request<IDeleted>(filePath(id, fileId), { method: 'DELETE' });
  }

  setAttributes(id: string, fileId: string, attributes: Attributes): Promise<IStoreFile> {
    return this.#client.request<IStoreFile>(filePath(id, fileId), { json: { attributes } });
  }

  async search(
    id: string,
    query: string,
    count: number,
    signal: AbortSignal
  ): Promise<readonly ISearchResult[]> {
    const page = await this.#client.request<{ data: readonly ISearchResult[] }>(
      `${path(id)}/search`,
      { json: { query, max_num_results: count }, signal }
    );
    return page.data;
  }

  #onStore(_: IEventStream, event: IPlatformEvent<IVectorStore>): void {
    this.#storeChanged.emit(event);
  }

  #onFile(_: IEventStream, event: IPlatformEvent<IStoreFile>): void {
    this.#fileChanged.emit({
      storeId: event.data.vector_store_id,
      file: event.data,
      removed: event.type.endsWith('.deleted')
    });
  }

  #onReset(): void {
    this.#reset.emit();
  }

  readonly #fileChanged = new Signal<this, IStoreFileChange>(this);
  readonly #reset = new Signal<this, void>(this);
  readonly #storeChanged = new Signal<this, IPlatformEvent<IVectorStore>>(this);
}

function path(id: string): string {
  return `${STORES}/${encodeURIComponent(id)}`;
}

function filePath(id: string, fileId: string): string {
  return `${path(id)}/files/${encodeURIComponent(fileId)}`;
}
