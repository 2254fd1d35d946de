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
  constructor(
    readonly id: string,
    private readonly _api: VectorStoresApi
  ) {
    _api.storeChanged.connect(this._onStore, this);
    _api.fileChanged.connect(this._onFile, this);
    _api.reset.connect(this._onReset, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Null until it is loaded. */
  get store(): IVectorStore | null {
    return this._store;
  }

  /** Newest first. */
  get files(): readonly IStoreFile[] {
    return [...this._files.values()].sort((a, b) => b.created_at - a.created_at);
  }

  /** The store is gone. */
  get deleted(): boolean {
    return this._deleted;
  }

  /** Why the store cannot be shown, or null. */
  get error(): string | null {
    return this._error;
  }

  /** The last search, or null. */
  get search(): ISearch | null {
    return this._search;
  }

  /** Load everything; errors are kept in `error`. */
  async load(): Promise<void> {
    try {
      const [store, files] = await Promise.all([
        this._api.retrieve(this.id),
        this._api.files(this.id)
      ]);
      this._store = store;
      this._files = new Map(files.map(file => [file.id, file]));
      this._error = null;
    } catch (error) {
      this._error = errorText(error);
    }
    this._changed.emit();
  }

  /** Find passages; a search that is still running is given up. */
  async find(query: string): Promise<void> {
    this._abort?.abort();
    const abort = new AbortController();
    this._abort = abort;
    const started = performance.now();
    const before = this._search?.results ?? [];
    this._show({ query, running: true, results: before, error: null, took: null });
    try {
      const results = await this._api.search(this.id, query, RESULTS, abort.signal);
      const took = performance.now() - started;
      this._show({ query, running: false, results, error: null, took });
    } catch (error) {
      if (!isAbort(error)) {
        this._show({ query, running: false, results: [], error: errorText(error), took: null });
      }
    }
  }

  /** Take a file out of the store. */
  async remove(fileId: string): Promise<void> {
    await this._api.removeFile(this.id, fileId);
    this._files.delete(fileId);
    this._changed.emit();
  }

  /** Replace the attributes of a file. */
  async setAttributes(fileId: string, attributes: Attributes): Promise<void> {
    const file = await this._api.setAttributes(this.id, fileId, attributes);
    this._files.set(fileId, file);
    this._changed.emit();
  }

  /** Add files that are on the platform already. */
  addFiles(fileIds: readonly string[]): Promise<void> {
    return this._api.addFiles(this.id, fileIds);
  }

  dispose(): void {
    this._abort?.abort();
    Signal.clearData(this);
  }

  private _show(search: ISearch): void {
    this._search = search;
    this._changed.emit();
  }

  private _onStore(_: VectorStoresApi, event: IPlatformEvent<IVectorStore>): void {
    if (event.object_id !== this.id) {
      return;
    }
    this._deleted = event.type.endsWith('.deleted');
    if (!this._deleted) {
      this._store = event.data;
    }
    this._changed.emit();
  }

  private _onFile(_: VectorStoresApi, change: IStoreFileChange): void {
    if (change.storeId !== this.id) {
      return;
    }
    if (change.removed) {
      this._files.delete(change.file.id);
    } else {
      this._files.set(change.file.id, change.file);
    }
    this._changed.emit();
  }

  private _onReset(): void {
    void this.load();
  }

  private _abort: AbortController | null = null;
  private readonly _changed = new Signal<this, void>(this);
  private _deleted = false;
  private _error: string | null = null;
  private _files = new Map<string, IStoreFile>();
  private _search: ISearch | null = null;
  private _store: IVectorStore | null = null;
}
