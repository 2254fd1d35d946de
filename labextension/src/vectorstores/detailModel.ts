import { ISignal, Signal } from '@lumino/signaling';

import { errorText, isAbort } from '../api/errors';
import { IPlatformEvent } from '../api/types';
import { IStoreFileChange, VectorStoresApi } from './api';
import { Attributes, ISearchResult, IStoreFile, IVectorStore } from './types';

/** How a search stands. */
export interface ISearch {
  readonly query: string;
  readonly running: boolean;
  readonly results: readonly ISearchResult[];
  readonly error: string | null;
  /** Milliseconds, once it has ended. */
  readonly took: number | null;
}

/** How many passages a search shows. */
const RESULTS = 10;

/** Everything about one vector store, kept fresh by push. */
export class StoreDetailModel {
  readonly #api: VectorStoresApi;

  constructor(
    readonly id: string,
    api: VectorStoresApi
  ) {
    this.#api = api;
    api.storeChanged.connect(this.#onStore, this);
    api.fileChanged.connect(this.#onFile, this);
    api.reset.connect(this.#onReset, this);
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Null until it is loaded. */
  get store(): IVectorStore | null {
    return this.#store;
  }

  /** Newest first. */
  get files(): readonly IStoreFile[] {
    return [...this.#files.values()].sort((a, b) => b.created_at - a.created_at);
  }

  /** The store is gone. */
  get deleted(): boolean {
    return this.#deleted;
  }

  /** Why the store cannot be shown, or null. */
  get error(): string | null {
    return this.#error;
  }

  /** The last search, or null. */
  get search(): ISearch | null {
    return this.#search;
  }

  /** Load everything; errors are kept in `error`. */
  async load(): Promise<void> {
    try {
      const [store, files] = await Promise.all([
        this.#api.retrieve(this.id),
        this.#api.files(this.id)
      ]);
      this.#store = store;
      this.#files = new Map(files.map(file => [file.id, file]));
      this.#error = null;
    } catch (error) {
      this.#error = errorText(error);
    }
    this.#changed.emit();
  }

  /** Find passages; a search that is still running is given up. */
  async find(query: string): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const started = performance.now();
    const before = this.#search?.results ?? [];
    this.#show({ query, running: true, results: before, error: null, took: null });
    try {
      const results = await this.#api.search(this.id, query, RESULTS, abort.signal);
      const took = performance.now() - started;
      this.#show({ query, running: false, results, error: null, took });
    } catch (error) {
      if (!isAbort(error)) {
        this.#show({ query, running: false, results: [], error: errorText(error), took: null });
      }
    }
  }

  /** Take a file out of the store. */
  async remove(fileId: string): Promise<void> {
    await this.#api.removeFile(this.id, fileId);
    this.#files.delete(fileId);
    this.#changed.emit();
  }

  /** Replace the attributes of a file. */
  async setAttributes(fileId: string, attributes: Attributes): Promise<void> {
    const file = await this.#api.setAttributes(this.id, fileId, attributes);
    this.#files.set(fileId, file);
    this.#changed.emit();
  }

  /** Add files that are on the platform already. */
  addFiles(fileIds: readonly string[]): Promise<void> {
    return this.#api.addFiles(this.id, fileIds);
  }

  dispose(): void {
    this.#abort?.abort();
    Signal.clearData(this);
  }

  #show(search: ISearch): void {
    this.#search = search;
    this.#changed.emit();
  }

  #onStore(_: VectorStoresApi, event: IPlatformEvent<IVectorStore>): void {
    if (event.object_id !== this.id) {
      return;
    }
    this.#deleted = event.type.endsWith('.deleted');
    if (!this.#deleted) {
      this.#store = event.data;
    }
    this.#changed.emit();
  }

  #onFile(_: VectorStoresApi, change: IStoreFileChange): void {
    if (change.storeId !== this.id) {
      return;
    }
    if (change.removed) {
      this.#files.delete(change.file.id);
    } else {
      this.#files.set(change.file.id, change.file);
    }
    this.#changed.emit();
  }

  #onReset(): void {
    void this.load();
  }

  #abort: AbortController | null = null;
  readonly #changed = new Signal<this, void>(this);
  #deleted = false;
  #error: string | null = null;
  #files = new Map<string, IStoreFile>();
  #search: ISearch | null = null;
  #store: IVectorStore | null = null;
}
