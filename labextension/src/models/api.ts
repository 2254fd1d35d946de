import { IDeleted, IModel, IModelCreate, IPerijoveClient } from '../api';

/** The path of a model; ids may hold slashes, which stay. */
export function modelPath(id: string): string {
  return `/v1/models/${id.split('/').map(encodeURIComponent).join('/')}`;
}

/** What can be done with models. */
export class ModelsApi {
  readonly #client: IPerijoveClient;

  constructor(client: IPerijoveClient) {
    this.#client = client;
  }

  create(model: IModelCreate): Promise<IModel> {
    return this.#client.request('/v1/models', { json: model });
  }

  /** Engine control; `cancel` stops a pull. */
  control(id: string, action: 'load' | 'unload' | 'cancel'): Promise<IModel> {
    return this.#client.request(`${modelPath(id)}/${action}`, { method: 'POST' });
  }

  addAlias(id: string, alias: string): Promise<IModel> {
    return this.#client.request(`${modelPath(id)}/aliases`, { json: { alias } });
  }

  removeAlias(id: string, alias: string): Promise<IModel> {
    return this.#client.request(`${modelPath(id)}/aliases/${encodeURIComponent(alias)}`, {
      method: 'DELETE'
    });
  }

  delete(id: string): Promise<IDeleted> {
    return this.#client.request(modelPath(id), { method: 'DELETE' });
  }
}
