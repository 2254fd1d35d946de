import { Selection } from '../list/selection';

const ORDER = ['a', 'b', 'c', 'd'];

describe('Selection', () => {
  it('extends from where it began, in both directions', () => {
    const selection = new Selection();
    selection.only('b');
    selection.extend('d', ORDER);
    expect([...selection.ids]).toEqual(['b', 'c', 'd']);
    selection.extend('a', ORDER);
    expect([...selection.ids]).toEqual(['a', 'b']);
    expect(selection.current).toBe('a');
  });

  it('adds and takes out single rows', () => {
    const selection = new Selection();
    selection.only('a');
    selection.toggle('c');
    selection.toggle('a');
    expect([...selection.ids]).toEqual(['c']);
  });

  it('selects one row when there is nothing to extend from', () => {
    const selection = new Selection();
    selection.extend('c', ORDER);
    expect([...selection.ids]).toEqual(['c']);
  });

  it('forgets rows that are gone', () => {
    const selection = new Selection();
    selection.all(ORDER);
    selection.keep(new Set(['b']));
    expect([...selection.ids]).toEqual(['b']);
    expect(selection.current).toBeNull();
  });
});
