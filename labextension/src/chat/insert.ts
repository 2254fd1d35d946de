import type { ICellText } from '../core';

/**
 * An answer as cells: fenced Python becomes code, the rest stays Markdown.
 */
export function toCells(answer: string): readonly ICellText[] {
  const cells: ICellText[] = [];
  const add = (type: ICellText['type'], source: string) => {
    if (source.trim() !== '') {
      cells.push({ type, source: source.replace(/^\n+|\s+$/g, '') });
    }
  };
  const fence = /^```(?:python|py|ipython)?[ \t]*\n([\s\S]*?)\n?^```[ \t]*$/gm;
  let from = 0;
  for (let match = fence.exec(answer); match; match = fence.exec(answer)) {
    add('markdown', answer.slice(from, match.index));
    add('code', match[1]);
    from = fence.lastIndex;
  }
  add('markdown', answer.slice(from));
  return cells;
}
