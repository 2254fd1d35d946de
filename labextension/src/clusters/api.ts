import { IPerijoveClient } from '../api/tokens';
import {
  ICluster,
  IClusterCreated,
  IClusterDetail,
  IDeleted,
  IPage,
  IQuota,
  IRegistrationToken
} from '../api/types';

export const CLUSTERS = '/v1/clusters';

/** The most quotas that are read of a cluster. */
const MAX_QUOTAS = 1000;

/** What can be asked of the platform about clusters. */
export class ClustersApi {
  readonly #client: Pick<IPerijoveClient, 'request'>;

  constructor(client: Pick<IPerijoveClient, 'request'>) {
    this.#client = client;
  }

  retrieve(id: string): Promise<IClusterDetail> {
    return this.#client.request<IClusterDetail>(path(id));
  }

  /** @param seconds - for which the registration token is valid */
  create(name: string, description: string, seconds: number): Promise<IClusterCreated> {
    const json = { name, description: description || null, token_expires_in_seconds: seconds };
    return this.#client.request<IClusterCreated>(CLUSTERS, { json });
  }

  /** A new registration token, which ends the one before. */
  rotate(id: string, seconds: number): Promise<IRegistrationToken> {
    const json = { expires_in_seconds: seconds };
    return this.#client.request<IRegistrationToken>(`${path(id)}/registration_token`, { json });
  }

  revoke(id: string): Promise<ICluster> {
    return this.#client.request<ICluster>(`${path(id)}/credential`, { method: 'DELETE' });
  }

  /** @param force - even while jobs have not ended there */
  delete(id: string, force: boolean): Promise<IDeleted> {
    const query = force ? { force } : undefined;
    return this.#client.request<IDeleted>(path(id), { method: 'DELETE', query });
  }

  async quotas(id: string): Promise<readonly IQuota[]> {
    const quotas: IQuota[] = [];
    let after: string | null | undefined;
    do {
      const query = { limit: 100, after };
      const page = await this.#client.request<IPage<IQuota & { readonly id: string }>>(
        `${path(id)}/quotas`,
        { query }
      );
      quotas.push(...page.data);
      after = page.has_more ? page.last_id : null;
    } while (after && quotas.length < MAX_QUOTAS);
    return quotas;
  }
}

function path(id: string): string {
  return `${CLUSTERS}/${encodeURIComponent(id)}`;
}
