import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import {
  errorText,
  IEventStream,
  IObject,
  IPage,
  IPerijoveClient,
  IPlatformEvent
} from '../../api';
import { IListSource, PAGE_SIZE, Pages } from './pages';
import { Selection } from './selection';

export type ListState = 'idle' | 'loading' | 'ready' | 'failed';

/**
 * The objects of one list, or of several as one, read page by page and then kept fresh by the platform's events.
 *
 * Newest first, as the platform lists them. It reads nothing before `load()`.
 */
export class ObjectListModel<T extends IObject> implements IDisposable {
  constructor(
    private readonly _client: Pick<IPerijoveClient, 'list' | 'events'>,
    ...sources: readonly IListSource<T>[]
  ) {
    this._sources = sources;
    this._pages = new Pages(_client, sources);
  }

  readonly selection = new Selection();

  get state(): ListState {
    return this._state;
  }

  /** Why the last reading failed. */
  get error(): string | null {
    return this._error;
  }

  /** Whether the platform has more than what is here. */
  get hasMore(): boolean {
    return this._hasMore;
  }

  /** Whether a further page is on its way. */
  get loadingMore(): boolean {
    return this._loadingMore;
  }

  /** A new array after each change. */
  get items(): readonly T[] {
    return this._items;
  }

  /** Anything that a view shows has changed (the selection has its own signal). */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  find(id: string): T | undefined {
    return this._items.find(item => item.id === id);
  }

  /** The selected objects, in the list's order. */
  get selected(): readonly T[] {
    return this._items.filter(item => this.selection.has(item.id));
  }

  /** Read the first page unless that was done. */
  async load(): Promise<void> {
    if (this._state === 'idle') {
      await this.reload();
    }
  }

  /** Read again, at least as many objects as are here. What is shown stays until the answer is there. */
  async reload(): Promise<void> {
    this._listen();
    const round = ++this._round;
    const pages = new Pages(this._client, this._sources);
    const wanted = Math.max(PAGE_SIZE, this._items.length);
    this._touched.clear();
    this._set({ state: this._state === 'ready' ? 'ready' : 'loading', error: null });
    try {
      const items: T[] = [];
      let page: Pick<IPage<T>, 'data' | 'has_more'>;
      do {
        page = await pages.read(items);
        if (round !== this._round) {
          return;
        }
        items.push(...page.data);
      } while (page.has_more && page.data.length > 0 && items.length < wanted);
      [...this._touched.keys()].forEach(id => pages.drop(id));
      this._pages = pages;
      this._hasMore = page.has_more;
      this._items = this._merge([], items);
      this._keepSelection();
      this._set({ state: 'ready', error: null });
    } catch (error) {
      if (round === this._round) {
        this._set({ state: 'failed', error: errorText(error) });
      }
    }
  }

  /** Read the next page. */
  async loadMore(): Promise<void> {
    if (this._loadingMore || !this._hasMore || this._state !== 'ready') {
      return;
    }
    const round = this._round;
    this._loadingMore = true;
    this._touched.clear();
    this._changed.emit();
    try {
      const page = await this._pages.read(this._items);
      if (round === this._round) {
        this._hasMore = page.has_more && page.data.length > 0;
        this._items = this._merge(this._items, page.data);
        this._error = null;
      }
    } catch (error) {
      this._error = errorText(error);
    }
    this._loadingMore = false;
    this._changed.emit();
  }

  /** Show an object at once that a request has just answered with, before its event arrives. */
  put(item: T): void {
    if (this._isDisposed) {
      return;
    }
    this._pages.drop(item.id);
    this._touched.set(item.id, item);
    const index = this._items.findIndex(other => other.id === item.id);
    this._items = this._ordered(
      index < 0
        ? [item, ...this._items]
        : [...this._items.slice(0, index), item, ...this._items.slice(index + 1)]
    );
    this._changed.emit();
  }

  /** Drop an object that was deleted. */
  remove(id: string): void {
    this._pages.drop(id);
    this._touched.set(id, null);
    this._items = this._items.filter(item => item.id !== id);
    this._keepSelection();
    this._changed.emit();
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this._round += 1;
      this._items = [];
      Signal.clearData(this);
    }
  }

  /** Add a page; what an event said while it was on its way is newer than the page. */
  private _merge(items: readonly T[], page: readonly T[]): readonly T[] {
    const byId = new Map<string, T>();
    for (const item of this._touched.values()) {
      if (item && !items.some(other => other.id === item.id)) {
        byId.set(item.id, item);
      }
    }
    for (const item of [...items, ...page]) {
      const touched = this._touched.get(item.id);
      if (touched !== null) {
        byId.set(item.id, touched ?? item);
      }
    }
    return this._ordered([...byId.values()]);
  }

  private _ordered(items: readonly T[]): readonly T[] {
    const leads = (item: T) => this._sources.some(source => source.leads?.(item));
    return [...items.filter(leads), ...items.filter(item => !leads(item))];
  }

  private _listen(): void {
    if (!this._listening) {
      this._listening = true;
      for (const { object } of this._sources) {
        this._client.events.changes<T>(object).connect(this._onEvent, this);
      }
      this._client.events.reset.connect(this._onReset, this);
    }
  }

  private _onEvent(_: IEventStream, event: IPlatformEvent<T>): void {
    if (event.type.endsWith('.deleted')) {
      this.remove(event.object_id);
    } else {
      this.put(event.data);
    }
  }

  private _onReset(): void {
    void this.reload();
  }

  private _keepSelection(): void {
    this.selection.keep(new Set(this._items.map(item => item.id)));
  }

  private _set(change: { state: ListState; error: string | null }): void {
    this._state = change.state;
    this._error = change.error;
    this._changed.emit();
  }

  private readonly _sources: readonly IListSource<T>[];
  /** What reads on where the last reading from the beginning ended. */
  private _pages: Pages<T>;
  private _items: readonly T[] = [];
  private _state: ListState = 'idle';
  private _error: string | null = null;
  private _hasMore = false;
  private _loadingMore = false;
  private _round = 0;
  private _listening = false;
  private _isDisposed = false;
  /** Objects that changed (`null`: deleted) while a page was on its way. */
  private readonly _touched = new Map<string, T | null>();
  private readonly _changed = new Signal<this, void>(this);
}
