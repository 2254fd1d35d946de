import { ISignal, Signal } from '@lumino/signaling';

/** Which rows are selected, which one has the keyboard, and from where Shift extends. */
export class Selection {
  get ids(): ReadonlySet<string> {
    return this._ids;
  }

  /** The row that the keyboard acts on. */
  get current(): string | null {
    return this._current;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  has(id: string): boolean {
    return this._ids.has(id);
  }

  /** Select this row alone. */
  only(id: string): void {
    this._anchor = id;
    this._set(new Set([id]), id);
  }

  /** Add the row or take it out (Ctrl or Command). */
  toggle(id: string): void {
    const ids = new Set(this._ids);
    if (!ids.delete(id)) {
      ids.add(id);
    }
    this._anchor = id;
    this._set(ids, id);
  }

  /** Select from where the selection began to this row (Shift). */
  extend(id: string, order: readonly string[]): void {
    const from = this._anchor === null ? -1 : order.indexOf(this._anchor);
    const to = order.indexOf(id);
    if (from < 0 || to < 0) {
      this.only(id);
      return;
    }
    this._set(new Set(order.slice(Math.min(from, to), Math.max(from, to) + 1)), id);
  }

  all(order: readonly string[]): void {
    this._set(new Set(order), this._current ?? order[0] ?? null);
  }

  clear(): void {
    this._anchor = null;
    this._set(new Set(), this._current);
  }

  /** Forget rows that are gone. */
  keep(existing: ReadonlySet<string>): void {
    const ids = new Set([...this._ids].filter(id => existing.has(id)));
    const current = this._current !== null && existing.has(this._current) ? this._current : null;
    if (ids.size !== this._ids.size || current !== this._current) {
      this._set(ids, current);
    }
  }

  private _set(ids: ReadonlySet<string>, current: string | null): void {
    this._ids = ids;
    this._current = current;
    this._changed.emit();
  }

  private _ids: ReadonlySet<string> = new Set();
  private _current: string | null = null;
  private _anchor: string | null = null;
  private readonly _changed = new Signal<this, void>(this);
}
