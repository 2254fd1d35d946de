import { ISignal, Signal } from '@lumino/signaling';

import { ApiError, errorText } from '../api/errors';
import { IEventStream } from '../api/tokens';
import { ICluster, IClusterDetail, IPlatformEvent, IQuota } from '../api/types';
import { ClustersApi } from './api';

/**
 * Everything about one cluster, kept fresh by the platform's events.
 *
 * An event has what lists show. The nodes and quotas are then read again, one reading at a time.
 */
export class ClusterDetailModel {
  constructor(
    readonly id: string,
    private readonly _api: Pick<ClustersApi, 'retrieve' | 'quotas'>,
    events: IEventStream
  ) {
    events.changes<ICluster>('cluster').connect(this._onCluster, this);
    events.changes('cluster.quota').connect(this._onQuota, this);
    events.reset.connect(this._onReset, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Null until it has been read. */
  get cluster(): IClusterDetail | null {
    return this._cluster;
  }

  /** What is set aside for projects, by their ids. */
  get quotas(): readonly IQuota[] {
    return this._quotas;
  }

  /** Why it could not be read. */
  get error(): string | null {
    return this._error;
  }

  /** Whether it does not exist (any more). */
  get gone(): boolean {
    return this._gone;
  }

  /** Read everything; once more afterwards when something has changed meanwhile. */
  async load(): Promise<void> {
    this._stale = true;
    if (this._loading) {
      return;
    }
    this._loading = true;
    while (this._stale && !this._disposed) {
      this._stale = false;
      await this._read();
      this._emit();
    }
    this._loading = false;
  }

  dispose(): void {
    this._disposed = true;
    Signal.clearData(this);
  }

  private async _read(): Promise<void> {
    try {
      const cluster = await this._api.retrieve(this.id);
      const quotas = cluster.kind === 'local' ? [] : await this._api.quotas(this.id);
      if (!this._gone) {
        [this._cluster, this._quotas, this._error] = [cluster, quotas, null];
      }
    } catch (error) {
      this._error = errorText(error);
      this._gone ||= error instanceof ApiError && error.status === 404;
    }
  }

  private _onCluster(_: IEventStream, event: IPlatformEvent<ICluster>): void {
    if (event.object_id !== this.id) {
      return;
    }
    if (event.type.endsWith('.deleted')) {
      this._gone = true;
    } else {
      this._cluster = this._cluster && { ...this._cluster, ...event.data };
      void this.load();
    }
    this._emit();
  }

  private _onQuota(_: IEventStream, event: IPlatformEvent): void {
    if (event.object_id === this.id) {
      void this.load();
    }
  }

  private _onReset(): void {
    void this.load();
  }

  private _emit(): void {
    if (!this._disposed) {
      this._changed.emit();
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _cluster: IClusterDetail | null = null;
  private _disposed = false;
  private _error: string | null = null;
  private _gone = false;
  private _loading = false;
  private _quotas: readonly IQuota[] = [];
  private _stale = false;
}
