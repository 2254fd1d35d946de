import { arrange, IColumn } from '../list/columns';

interface IRow {
  readonly id: string;
  readonly object: string;
  readonly name: string;
  readonly size: number;
}

function row(id: string, name: string, size: number): IRow {
  return { id, object: 'row', name, size };
}

const COLUMNS: readonly IColumn<IRow>[] = [
  { id: 'name', title: 'Name', width: '1fr', value: item => item.name, render: item => item.name },
  { id: 'size', title: 'Size', width: '1fr', value: item => item.size, render: item => item.size }
];

const ROWS = [row('x-1', 'file 10', 5), row('x-2', 'File 9', 30), row('x-3', 'other', 7)];

function ids(filter: string, column?: string, descending = false): string[] {
  const sort = column === undefined ? null : { column, descending };
  return arrange(ROWS, COLUMNS, filter, sort).map(item => item.id);
}

describe('arrange', () => {
  it('keeps the order of the platform without a sort', () => {
    expect(ids('')).toEqual(['x-1', 'x-2', 'x-3']);
  });

  it('sorts numbers as numbers and names as people do', () => {
    expect(ids('', 'size')).toEqual(['x-1', 'x-3', 'x-2']);
    expect(ids('', 'name')).toEqual(['x-2', 'x-1', 'x-3']);
    expect(ids('', 'size', true)).toEqual(['x-2', 'x-3', 'x-1']);
  });

  it('shows the rows that have every word, in any case, the id included', () => {
    expect(ids('FILE 1')).toEqual(['x-1']);
    expect(ids('x-3')).toEqual(['x-3']);
    expect(ids('file other')).toEqual([]);
  });
});
