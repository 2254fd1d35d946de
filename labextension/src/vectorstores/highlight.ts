/** A piece of a passage, and whether the query names it. */
export interface IPiece {
  readonly text: string;
  readonly hit: boolean;
}

/** Words shorter than this would mark half of the passage. */
const MIN_TERM = 3;
const MAX_TERMS = 20;

/**
 * Cut a passage where words of the query begin in it, without regard to case.
 */
export function highlight(text: string, query: string): readonly IPiece[] {
  const terms = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])]
    .filter(term => term.length >= MIN_TERM)
    .slice(0, MAX_TERMS)
    .sort((a, b) => b.length - a.length);
  if (terms.length === 0) {
    return [{ text, hit: false }];
  }
  // The whole word is marked when it begins with the term: "moon" marks "moons".
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])((?:${terms.join('|')})[\\p{L}\\p{N}]*)`, 'giu');
  return text
    .split(pattern)
    .map((piece, index) => ({ text: piece, hit: index % 2 === 1 }))
    .filter(piece => piece.text !== '');
}
