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
  readonly #client: Pick<IPerijoveClient, 'list' | 'events'>;

  constructor(
    client: Pick<IPerijoveClient, 'list' | 'events'>,
    ...sources: readonly IListSource<T>[]
  ) {
    this.#client = client;
    this.#sources = sources;
    this.#pages = new Pages(client, sources);
  }

  readonly selection = new Selection();

  get state(): ListState {
    return this.#state;
  }

  /** Why the last reading failed. */
  get error(): string | null {
    return this.#error;
  }

  /** Whether the platform has more than what is here. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  /** Whether a further page is on its way. */
  get loadingMore(): boolean {
    return this.#loadingMore;
  }

  /** A new array after each change. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** Anything that a view shows has changed (the selection has its own signal). */
  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  find(id: string): T | undefined {
    return this.#items.find(item => item.id === id);
  }

  /** The selected objects, in the list's order. */
  get selected(): readonly T[] {
    return this.#items.filter(item => this.selection.has(item.id));
  }

  /** Read the first page unless that was done. */
  async load(): Promise<void> {
    if (this.#state === 'idle') {
      await this.reload();
    }
  }

  /** Read again, at least as many objects as are here. What is shown stays until the answer is there. */
  async reload(): Promise<void> {
    this.#listen();
    const round = ++this.#round;
    const pages = new Pages(this.#client, this.#sources);
    const wanted = Math.max(PAGE_SIZE, this.#items.length);
    this.#touched.clear();
    this.#set({ state: this.#state === 'ready' ? 'ready' : 'loading', error: null });
    try {
      const items: T[] = [];
      let page: Pick<IPage<T>, 'data' | 'has_more'>;
      do {
        page = await pages.read(items);
        if (round !== this.#round) {
          return;
        }
        items.push(...page.data);
      } while (page.has_more && page.data.length > 0 && items.length < wanted);
      [...this.#touched.keys()].forEach(id => pages.drop(id));
      this.#pages = pages;
      this.#hasMore = page.has_more;
      this.#items = this.#merge([], items);
      this.#keepSelection();
      this.#set({ state: 'ready', error: null });
    } catch (error) {
      if (round === this.#round) {
        this.#set({ state: 'failed', error: errorText(error) });
      }
    }
  }

  /** Read the next page. */
  async loadMore(): Promise<void> {
    if (this.#loadingMore || !this.#hasMore || this.#state !== 'ready') {
      return;
    }
    const round = this.#round;
    this.#loadingMore = true;
    this.#touched.clear();
    this.#changed.emit();
    try {
      const page = await this.#pages.read(this.#items);
      if (round === this.#round) {
        this.#hasMore = page.has_more && page.data.length > 0;
        this.#items = this.#merge(this.#items, page.data);
        this.#error = null;
      }
    } catch (error) {
      this.#error = errorText(error);
    }
    this.#loadingMore = false;
    this.#changed.emit();
  }

  /** Show an object at once that a request has just answered with, before its event arrives. */
  put(item: T): void {
    if (this.#isDisposed) {
      return;
    }
    this.#pages.drop(item.id);
    this.#touched.set(item.id, item);
    const index = this.#items.findIndex(other => other.id === item.id);
    this.#items = this.#ordered(
      index < 0
        ? [item, ...this.#items]
        : [...this.#items.slice(0, index), item, ...this.#items.slice(index + 1)]
    );
    this.#changed.emit();
  }

  /** Drop an object that was deleted. */
  remove(id: string): void {
    this.#pages.drop(id);
    this.#touched.set(id, null);
    this.#items = this.#items.filter(item => item.id !== id);
    this.#keepSelection();
    this.#changed.emit();
  }

  dispose(): void {
    if (!this.#isDisposed) {
      this.#isDisposed = true;
      this.#round += 1;
      this.#items = [];
      Signal.clearData(this);
    }
  }

  /** Add a page; what an event said while it was on its way is newer than the page. */
  #merge(items: readonly T[], page: readonly T[]): readonly T[] {
    const byId = new Map<string, T>();
    for (const item of this.#touched.values()) {
      if (item && !items.some(other => other.id === item.id)) {
        byId.set(item.id, item);
      }
    }
    for (const item of [...items, ...page]) {
      const touched = this.#touched.get(item.id);
      if (touched !== null) {
        byId.set(item.id, touched ?? item);
      }
    }
    return this.#ordered([...byId.values()]);
  }

  #ordered(items: readonly T[]): readonly T[] {
    const leads = (item: T) => this.#sources.some(source => source.leads?.(item));
    return [...items.filter(leads), ...items.filter(item => !leads(item))];
  }

  #listen(): void {
    if (!this.#listening) {
      this.#listening = true;
      for (const { object } of this.#sources) {
        this.#client.events.changes<T>(object).connect(this.#onEvent, this);
      }
      this.#client.events.reset.connect(this.#onReset, this);
    }
  }

  #onEvent(_: IEventStream, event: IPlatformEvent<T>): void {
    if (event.type.endsWith('.deleted')) {
      this.remove(event.object_id);
    } else {
      this.put(event.data);
    }
  }

  #onReset(): void {
    void this.reload();
  }

  #keepSelection(): void {
    this.selection.keep(new Set(this.#items.map(item => item.id)));
  }

  #set(change: { state: ListState; error: string | null }): void {
    this.#state = change.state;
    this.#error = change.error;
    this.#changed.emit();
  }

  readonly #sources: readonly IListSource<T>[];
  /** What reads on where the last reading from the beginning ended. */
  #pages: Pages<T>;
  #items: readonly T[] = [];
  #state: ListState = 'idle';
  #error: string | null = null;
  #hasMore = false;
  #loadingMore = false;
  #round = 0;
  #listening = false;
  #isDisposed = false;
  /** Objects that changed (`null`: deleted) while a page was on its way. */
  readonly #touched = new Map<string, T | null>();
  readonly #changed = new Signal<this, void>(this);
}
