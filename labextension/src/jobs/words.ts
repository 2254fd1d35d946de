/** A command line, and where it cannot be read. */
export type Words =
  | { readonly words: readonly string[]; readonly open: null }
  | { readonly words: null; readonly open: "'" | '"' | '\\' };

/**
 * The words of a command line, as a POSIX shell reads them, without expanding anything.
 *
 * Blanks and line ends separate; single quotes keep all, double quotes all but `\"`, `\\`, `\$` and a backquote;
 * a backslash keeps the next character, and with a line end it is nothing.
 */
export function splitWords(line: string): Words {
  const words: string[] = [];
  let word: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const sign = line[at];
    if (sign === "'" || sign === '"') {
      const [text, end] = quoted(line, at);
      if (end < 0) {
        return { words: null, open: sign };
      }
      word = (word ?? '') + text;
      at = end;
    } else if (sign === '\\') {
      if (++at === line.length) {
        return { words: null, open: '\\' };
      }
      word = line[at] === '\n' ? word : (word ?? '') + line[at];
    } else if (!/\s/.test(sign)) {
      word = (word ?? '') + sign;
    } else if (word !== null) {
      words.push(word);
      word = null;
    }
  }
  return { words: word === null ? words : [...words, word], open: null };
}

/** What stands in the quotes that begin at `from`, and where they end; -1 when they do not. */
function quoted(line: string, from: number): [string, number] {
  const quote = line[from];
  let text = '';
  for (let at = from + 1; at < line.length; at++) {
    if (line[at] === quote) {
      return [text, at];
    }
    if (quote === '"' && line[at] === '\\' && /["\\$`\n]/.test(line[at + 1] ?? '')) {
      at += 1;
      text += line[at] === '\n' ? '' : line[at];
    } else {
      text += line[at];
    }
  }
  return [text, -1];
}

/** The command line that `splitWords` reads as these words, with no more quotes than it takes. */
export function joinWords(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) {
    return word;
  }
  return word.includes("'") && !/["\\$`]/.test(word)
    ? `"${word}"`
    : `'${word.replace(/'/g, "'\\''")}'`;
}
