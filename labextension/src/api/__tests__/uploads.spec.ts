import { ApiError } from '../errors';
import { IRequest } from '../tokens';
import { IUpload, IUploadPart } from '../types';
import { PART_BYTES, Uploads } from '../uploads';

/** The platform's uploads, as far as a browser sees them. */
class FakePlatform {
  readonly parts: IUploadPart[] = [];
  readonly calls: string[] = [];
  /** Parts that are refused before one is taken. */
  failures: ApiError[] = [];
  status: IUpload['status'] = 'pending';
  order: unknown;

  async request<T>(path: string, request: IRequest = {}): Promise<T> {
    this.calls.push(path);
    await Promise.resolve();
    if (request.signal?.aborted) {
      throw new DOMException('given up', 'AbortError');
    }
    return this.#answer(path, request) as T;
  }

  #answer(path: string, request: IRequest): unknown {
    const upload = { id: 'upload_1', object: 'upload', status: this.status };
    if (path.endsWith('/parts')) {
      const failure = this.failures.shift();
      if (failure) {
        throw failure;
      }
      const form = request.body as FormData;
      const { size } = form.get('data') as File;
      const part = partOf(`part_${this.parts.length}`, size, Number(form.get('offset')));
      this.parts.push(part);
      return part;
    }
    if (path.endsWith('/complete')) {
      this.order = (request.json as { part_ids: unknown }).part_ids;
      return { ...upload, status: 'completed', file: { id: 'file-1', filename: 'a.bin' } };
    }
    return { ...upload, parts: this.parts };
  }
}

function partOf(id: string, bytes: number, offset: number): IUploadPart {
  const upload_id = 'upload_1';
  return { id, object: 'upload.part', upload_id, bytes, offset, created_at: 0, sha256: '' };
}

function fileOf(size: number): File {
  return new File([new Uint8Array(size)], 'a.bin', { lastModified: 1 });
}

beforeEach(() => window.localStorage.clear());

describe('Uploads', () => {
  it('sends every byte once and completes in the order of the file', async () => {
    const platform = new FakePlatform();
    const task = new Uploads(platform).start(fileOf(2 * PART_BYTES + 5), 'fine-tune');
    await task.settled;
    expect(task.state).toBe('done');
    expect(task.result?.id).toBe('file-1');
    const byOffset = [...platform.parts].sort((a, b) => Number(a.offset) - Number(b.offset));
    expect(byOffset.map(part => part.bytes)).toEqual([PART_BYTES, PART_BYTES, 5]);
    expect(platform.order).toEqual(byOffset.map(part => part.id));
    expect(window.localStorage.length).toBe(0);
  });

  it('does not send again what the platform has', async () => {
    const platform = new FakePlatform();
    platform.failures = [new ApiError('Storage is full.', 507)];
    const first = new Uploads(platform);
    first.parallelParts = 1;
    const file = fileOf(2 * PART_BYTES);
    const failed = first.start(file, 'fine-tune');
    await failed.settled;
    expect(failed.error).toBe('Storage is full.');
    platform.parts.push(partOf('part_x', PART_BYTES, PART_BYTES));
    // Another page, after a reload.
    const task = new Uploads(platform).start(file, 'fine-tune');
    await task.settled;
    expect(task.state).toBe('done');
    expect(platform.parts.map(part => part.offset)).toEqual([PART_BYTES, 0]);
    expect(platform.calls.filter(path => path === '/v1/uploads')).toHaveLength(1);
  });

  it('begins anew when the platform has dropped the upload', async () => {
    const platform = new FakePlatform();
    platform.failures = [new ApiError('No.', 400)];
    const uploads = new Uploads(platform);
    const file = fileOf(10);
    await uploads.start(file, 'fine-tune').settled;
    platform.status = 'expired';
    const task = uploads.start(file, 'fine-tune');
    await task.settled;
    expect(task.state).toBe('done');
    expect(platform.calls.filter(path => path === '/v1/uploads')).toHaveLength(2);
  });

  it('tries a part again after a failure that may pass', async () => {
    const platform = new FakePlatform();
    platform.failures = [new ApiError('Busy.', 503)];
    const task = new Uploads(platform).start(fileOf(10), 'fine-tune');
    await task.settled;
    expect(task.state).toBe('done');
    expect(platform.parts).toHaveLength(1);
  });

  it('pauses and goes on', async () => {
    const platform = new FakePlatform();
    const task = new Uploads(platform).start(fileOf(10), 'fine-tune');
    task.pause();
    await task.settled;
    expect(task.state).toBe('paused');
    task.resume();
    await task.settled;
    expect(task.state).toBe('done');
  });

  it('tells the platform about a cancelled upload', async () => {
    const platform = new FakePlatform();
    platform.failures = [new ApiError('No.', 400)];
    const uploads = new Uploads(platform);
    const task = uploads.start(fileOf(10), 'fine-tune');
    await task.settled;
    await task.cancel();
    expect(task.state).toBe('cancelled');
    expect(platform.calls[platform.calls.length - 1]).toBe('/v1/uploads/upload_1/cancel');
    expect(window.localStorage.length).toBe(0);
    uploads.dismiss(task);
    expect(uploads.tasks).toHaveLength(0);
  });
});
