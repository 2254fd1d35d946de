import { Signal } from '@lumino/signaling';

import { IPlatformEvent } from '../../api';
import { IStoreFileChange, VectorStoresApi } from '../api';
import { StoreDetailModel } from '../detailModel';
import { ISearchResult, IStoreFile, IVectorStore } from '../types';

const store = (change: Partial<IVectorStore> = {}) =>
  ({ id: 'vs_1', name: 'Moons', status: 'completed', ...change }) as IVectorStore;
const file = (id: string, change: Partial<IStoreFile> = {}) =>
  ({ id, created_at: 1, vector_store_id: 'vs_1', status: 'completed', ...change }) as IStoreFile;
const result = (filename: string) => ({ filename, score: 1 }) as ISearchResult;

function memory() {
  const storeChanged = new Signal<object, IPlatformEvent<IVectorStore>>({});
  const fileChanged = new Signal<object, IStoreFileChange>({});
  const searches: ((results: ISearchResult[]) => void)[] = [];
  const api = {
    storeChanged,
    fileChanged,
    reset: new Signal<object, void>({}),
    retrieve: async () => store(),
    files: async () => [file('file-1'), file('file-2', { created_at: 2 })],
    removeFile: async () => undefined,
    search: (_: string, __: string, ___: number, signal: AbortSignal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
        searches.push(resolve);
      })
  };
  const model = new StoreDetailModel('vs_1', api as unknown as VectorStoresApi);
  return { model, storeChanged, fileChanged, searches };
}

describe('StoreDetailModel', () => {
  it('shows the newest file first and follows the pushes', async () => {
    const { model, fileChanged, storeChanged } = memory();
    await model.load();
    expect(model.files.map(one => one.id)).toEqual(['file-2', 'file-1']);
    fileChanged.emit({
      storeId: 'vs_1',
      file: file('file-1', { status: 'failed' }),
      removed: false
    });
    fileChanged.emit({ storeId: 'vs_1', file: file('file-2'), removed: true });
    fileChanged.emit({ storeId: 'vs_2', file: file('file-3'), removed: false });
    expect(model.files.map(one => [one.id, one.status])).toEqual([['file-1', 'failed']]);
    storeChanged.emit({
      id: 1,
      type: 'vector_store.deleted',
      created_at: 1,
      object_id: 'vs_1',
      data: store()
    });
    expect(model.deleted).toBe(true);
  });

  it('gives up a search for the next one', async () => {
    const { model, searches } = memory();
    await model.load();
    const first = model.find('one');
    const second = model.find('two');
    searches[1]([result('b.md')]);
    await Promise.all([first, second]);
    expect(model.search).toMatchObject({ query: 'two', running: false, error: null });
    expect(model.search?.results.map(one => one.filename)).toEqual(['b.md']);
    expect(model.search?.took).not.toBeNull();
  });

  it('takes a file out at once', async () => {
    const { model } = memory();
    await model.load();
    await model.remove('file-1');
    expect(model.files.map(one => one.id)).toEqual(['file-2']);
  });
});
