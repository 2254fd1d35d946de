import { toCells } from '../insert';

describe('toCells', () => {
  it('makes code of fenced Python and leaves the rest', () => {
    expect(toCells('Try this:\n\n```python\nx = 1\n\nprint(x)\n```\n\nDone.\n')).toEqual([
      { type: 'markdown', source: 'Try this:' },
      { type: 'code', source: 'x = 1\n\nprint(x)' },
      { type: 'markdown', source: 'Done.' }
    ]);
  });

  it('keeps other languages and unfinished fences as Markdown', () => {
    for (const answer of ['```rust\nfn main() {}\n```', 'a\n```python\nx = 1', 'plain']) {
      expect(toCells(answer)).toEqual([{ type: 'markdown', source: answer }]);
    }
  });

  it('makes nothing of nothing', () => {
    expect(toCells(' \n')).toEqual([]);
  });
});
