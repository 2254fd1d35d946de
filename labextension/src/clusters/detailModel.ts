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
  readonly #api: Pick<ClustersApi, 'retrieve' | 'quotas'>;

  constructor(
    readonly id: string,
    api: Pick<ClustersApi, 'retrieve' | 'quotas'>,
    events: IEventStream
  ) {
    this.#api = api;
    events.changes<ICluster>('cluster').connect(this.#onCluster, this);
    events.changes('cluster.quota').connect(this.#onQuota, this);
    events.reset.connect(this.#onReset, this);
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  /** Null until it has been read. */
  get cluster(): IClusterDetail | null {
    return this.#cluster;
  }

  /** What is set aside for projects, by their ids. */
  get quotas(): readonly IQuota[] {
    return this.#quotas;
  }

  /** Why it could not be read. */
  get error(): string | null {
    return this.#error;
  }

  /** Whether it does not exist (any more). */
  get gone(): boolean {
    return this.#gone;
  }

  /** Read everything; once more afterwards when something has changed meanwhile. */
  async load(): Promise<void> {
    this.#stale = true;
    if (this.#loading) {
      return;
    }
    this.#loading = true;
    while (this.#stale && !this.#disposed) {
      this.#stale = false;
      await this.#read();
      this.#emit();
    }
    this.#loading = false;
  }

  dispose(): void {
    this.#disposed = true;
    Signal.clearData(this);
  }

  async #read(): Promise<void> {
    try {
      const cluster = await this.#api.retrieve(this.id);
      const quotas = cluster.kind === 'local' ? [] : await this.#api.quotas(this.id);
      if (!this.#gone) {
        [this.#cluster, this.#quotas, this.#error] = [cluster, quotas, null];
      }
    } catch (error) {
      this.#error = errorText(error);
      this.#gone ||= error instanceof ApiError && error.status === 404;
    }
  }

  #onCluster(_: IEventStream, event: IPlatformEvent<ICluster>): void {
    if (event.object_id !== this.id) {
      return;
    }
    if (event.type.endsWith('.deleted')) {
      this.#gone = true;
    } else {
      this.#cluster = this.#cluster && { ...this.#cluster, ...event.data };
      void this.load();
    }
    this.#emit();
  }

  #onQuota(_: IEventStream, event: IPlatformEvent): void {
    if (event.object_id === this.id) {
      void this.load();
    }
  }

  #onReset(): void {
    void this.load();
  }

  #emit(): void {
    if (!this.#disposed) {
      this.#changed.emit();
    }
  }

  readonly #changed = new Signal<this, void>(this);
  #cluster: IClusterDetail | null = null;
  #disposed = false;
  #error: string | null = null;
  #gone = false;
  #loading = false;
  #quotas: readonly IQuota[] = [];
  #stale = false;
}
