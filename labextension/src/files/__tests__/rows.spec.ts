import { IPreviewLine } from '../../api';
import { csvRows, formatOf, jsonRows, splitRecord, textRows } from '../rows';

function lines(first: number, ...texts: readonly string[]): IPreviewLine[] {
  return texts.map((text, index) => ({ number: first + index, text, truncated: false }));
}

describe('formatOf', () => {
  it('goes by the ending', () => {
    expect(['a.JSONL', 'b.tsv', 'c.md', 'jsonl'].map(formatOf)).toEqual([
      'jsonl',
      'csv',
      'text',
      'jsonl'
    ]);
  });
});

describe('splitRecord', () => {
  it('knows quotes', () => {
    expect(splitRecord('a,"b, ""c""",,d', ',')).toEqual(['a', 'b, "c"', '', 'd']);
  });
});

describe('jsonRows', () => {
  it('has a column for every key and marks what is not JSON', () => {
    const table = jsonRows(lines(5, '{"a": 1}', '{"b": "x"}', '{oops'));
    expect(table.columns).toEqual(['a', 'b']);
    expect(table.rows).toEqual([
      { line: 5, cells: ['1', ''], broken: false },
      { line: 6, cells: ['', 'x'], broken: false },
      { line: 7, cells: ['{oops'], broken: true }
    ]);
  });

  it('does not call a line broken of which only the beginning is here', () => {
    const [row] = jsonRows([{ number: 1, text: '{"a": "lo', truncated: true }]).rows;
    expect(row).toEqual({ line: 1, cells: ['{"a": "lo…'], broken: false });
  });

  it('writes a conversation as its turns', () => {
    const text =
      '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}';
    expect(jsonRows(lines(1, text)).rows[0].cells).toEqual(['user: Hi\nassistant: Ho']);
  });
});

describe('csvRows', () => {
  it('takes the names of the columns from the first line of the file, on every page', () => {
    expect(csvRows(lines(1, 'x,y', '1,2'), 'x,y', ',')).toEqual({
      columns: ['x', 'y'],
      rows: [{ line: 2, cells: ['1', '2'], broken: false }]
    });
    expect(csvRows(lines(101, '1,2,3'), 'x,y', ',').rows[0].broken).toBe(true);
  });
});

describe('textRows', () => {
  it('shows lines as they are', () => {
    expect(textRows(lines(3, '  a')).rows).toEqual([{ line: 3, cells: ['  a'], broken: false }]);
  });
});
