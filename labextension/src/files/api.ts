import { IDeleted, IFilePreview, IFileValidation, IPerijoveClient } from '../api';

export function filePath(id: string): string {
  return `/v1/files/${encodeURIComponent(id)}`;
}

/** What can be done with files, besides uploading (`IPerijoveClient.uploads`). */
export class FilesApi {
  readonly #client: IPerijoveClient;

  constructor(client: IPerijoveClient) {
    this.#client = client;
  }

  preview(id: string, offset: number, limit: number, signal?: AbortSignal): Promise<IFilePreview> {
    return this.#client.request(`${filePath(id)}/preview`, { query: { offset, limit }, signal });
  }

  validate(id: string, signal?: AbortSignal): Promise<IFileValidation> {
    return this.#client.request(`${filePath(id)}/validation`, {
      query: { purpose: 'fine-tune' },
      signal
    });
  }

  delete(id: string): Promise<IDeleted> {
    return this.#client.request(filePath(id), { method: 'DELETE' });
  }

  /** Let the browser save the file. */
  download(id: string, filename: string): void {
    const link = document.createElement('a');
    link.href = this.#client.url(`${filePath(id)}/content`);
    link.download = filename;
    document.body.appendChild(link);
    link.click();
    link.remove();
  }
}
