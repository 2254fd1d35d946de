/** A piece of a passage, and whether the query names it. */
export interface IPiece {
  readonly text: string;
  readonly hit: boolean;
}

/** Shorter words would mark half of the passage, unless they are names: Io, GPU, X1. */
const MIN_TERM = 4;
const NAME = /[\p{Lu}\p{N}]/u;
const MAX_TERMS = 20;

/**
 * Cut a passage where words of the query begin in it, without regard to case.
 */
export function highlight(text: string, query: string): readonly IPiece[] {
  const words = query.match(/[\p{L}\p{N}]+/gu) ?? [];
  const telling = words.filter(word => word.length >= MIN_TERM || NAME.test(word));
  const terms = [...new Set(telling.map(word => word.toLowerCase()))]
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
