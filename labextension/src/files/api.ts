import { IDeleted, IFilePreview, IFileValidation, IPerijoveClient } from '../api';

export function filePath(id: string): string {
  return `/v1/files/${encodeURIComponent(id)}`;
}

/** What can be done with files, besides uploading (`IPerijoveClient.uploads`). */
export class FilesApi {
  constructor(private readonly _client: IPerijoveClient) {}

  preview(id: string, offset: number, limit: number, signal?: AbortSignal): Promise<IFilePreview> {
    return this._client.request(`${filePath(id)}/preview`, { query: { offset, limit }, signal });
  }

  validate(id: string, signal?: AbortSignal): Promise<IFileValidation> {
    return this._client.request(`${filePath(id)}/validation`, {
      query: { purpose: 'fine-tune' },
      signal
    });
  }

  delete(id: string): Promise<IDeleted> {
    return this._client.request(filePath(id), { method: 'DELETE' });
  }

  /** Let the browser save the file. */
  download(id: string, filename: string): void {
    const link = document.createElement('a');
    link.href = this._client.url(`${filePath(id)}/content`);
    link.download = filename;
    document.body.appendChild(link);
    link.click();
    link.remove();
  }
}
