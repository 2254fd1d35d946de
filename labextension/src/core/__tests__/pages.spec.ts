import { IObject, IPage, Query } from '../../api';
import { PAGE_SIZE, Pages } from '../list/pages';

interface IThing extends IObject {
  readonly created_at: number;
}

/** A platform with two lists, each the newest first. */
function platform(lists: Readonly<Record<string, readonly number[]>>) {
  const asked: string[] = [];
  const list = async <T extends IObject>(path: string, query: Query = {}): Promise<IPage<T>> => {
    const all = lists[path].map(at => ({ id: `${path}-${at}`, object: path, created_at: at }));
    const from = all.findIndex(item => item.id === query.after) + 1;
    const data = all.slice(from, from + Number(query.limit));
    asked.push(`${path} after ${query.after ?? 'none'}`);
    const more = from + data.length < all.length;
    return { object: 'list', data: data as unknown as T[], has_more: more };
  };
  const sources = Object.keys(lists).map(path => ({ path, object: path }));
  return { asked, pages: new Pages<IThing>({ list }, sources) };
}

/** `count` moments, the newest first, `step` apart. */
const moments = (count: number, step: number, from = 100_000): number[] =>
  Array.from({ length: count }, (_, index) => from - index * step);

async function readAll(pages: Pages<IThing>, each = (_: readonly IThing[]) => undefined as void) {
  const items: IThing[] = [];
  for (let more = true; more;) {
    const page = await pages.read(items);
    items.push(...page.data);
    more = page.has_more;
    each(items);
  }
  return items;
}

describe('Pages', () => {
  it('reads two lists as one in order, whatever their density, each object once', async () => {
    const [a, b] = [moments(2 * PAGE_SIZE + 7, 10), moments(PAGE_SIZE + 3, 97, 99_997)];
    const { pages } = platform({ a, b });
    const items = await readAll(pages, so_far => {
      const order = so_far.map(item => item.created_at);
      expect(order).toEqual([...order].sort((x, y) => y - x));
    });
    expect(items.map(item => item.created_at)).toEqual([...a, ...b].sort((x, y) => y - x));
    expect(new Set(items.map(item => item.id)).size).toBe(a.length + b.length);
  });

  it('reads a list that is short or empty once', async () => {
    const { asked, pages } = platform({ a: moments(PAGE_SIZE + 1, 1), b: [] });
    await readAll(pages);
    expect(asked).toEqual(['a after none', 'b after none', `a after a-${100_000 - PAGE_SIZE + 1}`]);
  });

  it('does not give out what an event has told of since', async () => {
    const { pages } = platform({ a: moments(PAGE_SIZE + 1, 1), b: [5] });
    const first = await pages.read([]);
    expect(first.data.some(item => item.id === 'b-5')).toBe(false);
    pages.drop('b-5');
    const second = await pages.read(first.data);
    expect(second.data.map(item => item.id)).toEqual([`a-${100_000 - PAGE_SIZE}`]);
    expect(second.has_more).toBe(false);
  });
});
