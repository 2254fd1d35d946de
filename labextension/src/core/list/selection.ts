import { ISignal, Signal } from '@lumino/signaling';

/** Which rows are selected, which one has the keyboard, and from where Shift extends. */
export class Selection {
  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** The row that the keyboard acts on. */
  get current(): string | null {
    return this.#current;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Select this row alone. */
  only(id: string): void {
    this.#anchor = id;
    this.#set(new Set([id]), id);
  }

  /** Add the row or take it out (Ctrl or Command). */
  toggle(id: string): void {
    const ids = new Set(this.#ids);
    if (!ids.delete(id)) {
      ids.add(id);
    }
    this.#anchor = id;
    this.#set(ids, id);
  }

  /** Select from where the selection began to this row (Shift). */
  extend(id: string, order: readonly string[]): void {
    const from = this.#anchor === null ? -1 : order.indexOf(this.#anchor);
    const to = order.indexOf(id);
    if (from < 0 || to < 0) {
      this.only(id);
      return;
    }
    this.#set(new Set(order.slice(Math.min(from, to), Math.max(from, to) + 1)), id);
  }

  all(order: readonly string[]): void {
    this.#set(new Set(order), this.#current ?? order[0] ?? null);
  }

  clear(): void {
    this.#anchor = null;
    this.#set(new Set(), this.#current);
  }

  /** Forget rows that are gone. */
  keep(existing: ReadonlySet<string>): void {
    const ids = new Set([...this.#ids].filter(id => existing.has(id)));
    const current = this.#current !== null && existing.has(this.#current) ? this.#current : null;
    if (ids.size !== this.#ids.size || current !== this.#current) {
      this.#set(ids, current);
    }
  }

  #set(ids: ReadonlySet<string>, current: string | null): void {
    this.#ids = ids;
    this.#current = current;
    this.#changed.emit();
  }

  #ids: ReadonlySet<string> = new Set();
  #current: string | null = null;
  #anchor: string | null = null;
  readonly #changed = new Signal<this, void>(this);
}
