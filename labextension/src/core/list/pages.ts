import { IObject, IPage, IPerijoveClient, Query } from '../../api';

/** Objects read of a list at a time. */
export const PAGE_SIZE = 50;

/** Where objects come from. */
export interface IListSource<T extends IObject> {
  /** Route of the list, e.g. `/v1/files`. */
  readonly path: string;
  /** What its objects are on the wire and in events, e.g. `file`. */
  readonly object: string;
  /** Further parameters, e.g. a filter of the platform's. */
  readonly query?: Query;
  /** Whether an object stays at the top, where the platform lists it, above those that are newer. */
  readonly leads?: (item: T) => boolean;
}

/** Objects of several lists, which are put in order by when they were made. */
interface IMade extends IObject {
  readonly created_at?: number;
}

/** Reads lists page by page, several of them as one, the newest first. */
export class Pages<T extends IObject> {
  readonly #client: Pick<IPerijoveClient, 'list'>;

  constructor(client: Pick<IPerijoveClient, 'list'>, sources: readonly IListSource<T>[]) {
    this.#client = client;
    this.#parts = sources.map(source => ({ source, held: [], more: true }));
  }

  /** Read what follows these objects, which were read before. */
  async read(after: readonly T[]): Promise<Pick<IPage<T>, 'data' | 'has_more'>> {
    await Promise.all(this.#parts.map(part => this.#fill(part, after)));
    const data = this.#merge();
    return { data, has_more: this.#parts.some(part => part.more || part.held.length > 0) };
  }

  /** Forget what was read of an object and not yet given out: an event has told of it since. */
  drop(id: string): void {
    for (const part of this.#parts) {
      part.held = part.held.filter(item => item.id !== id);
    }
  }

  async #fill(part: IPart<T>, after: readonly T[]): Promise<void> {
    if (part.held.length > 0 || !part.more) {
      return;
    }
    const { object, path, query } = part.source;
    const own = this.#parts.length > 1 ? after.filter(item => item.object === object) : after;
    const page = await this.#client.list<T>(path, {
      limit: PAGE_SIZE,
      ...query,
      after: own[own.length - 1]?.id
    });
    part.held = page.data;
    part.more = page.has_more && page.data.length > 0;
  }

  /** Of what is held, all that comes before anything that has not been read. */
  #merge(): readonly T[] {
    const merged: T[] = [];
    for (;;) {
      const filled = this.#parts.filter(part => part.held.length > 0);
      if (filled.length === 0 || this.#parts.some(part => part.more && part.held.length === 0)) {
        return merged;
      }
      const first = filled.reduce((a, b) => (madeAt(b.held[0]) > madeAt(a.held[0]) ? b : a));
      merged.push(first.held[0]);
      first.held = first.held.slice(1);
    }
  }

  readonly #parts: readonly IPart<T>[];
}

/** One list of several. */
interface IPart<T extends IObject> {
  readonly source: IListSource<T>;
  /** What was read of it and not yet given out. */
  held: readonly T[];
  /** Whether the platform has more of it. */
  more: boolean;
}

function madeAt(item: IMade): number {
  return item.created_at ?? 0;
}
