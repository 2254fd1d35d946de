import { joinWords, splitWords } from '../words';

describe('splitWords', () => {
  it.each([
    ['python -c "print(1)"', ['python', '-c', 'print(1)']],
    ['sh -c \'a | b "c"\'', ['sh', '-c', 'a | b "c"']],
    ['  a\tb\nc  ', ['a', 'b', 'c']],
    ['a \\\n b\\ c', ['a', 'b c']],
    ['"a\\"b\\n$x" \'\\n\'', ['a"b\\n$x', '\\n']],
    ['--x="1 2"3', ['--x=1 23']],
    ['a "" \'\'', ['a', '', '']],
    ['', []]
  ])('%j', (line, words) => {
    expect(splitWords(line)).toEqual({ words, open: null });
  });

  it.each([
    ["echo 'it", "'"],
    ['echo "it\\"', '"'],
    ['echo \\', '\\']
  ])('says what is left open in %j', (line, open) => {
    expect(splitWords(line)).toEqual({ words: null, open });
  });
});

describe('joinWords', () => {
  it.each([
    [['python', '-m', 'a.b', '--x=1']],
    [["it's", "it's $x", 'a b', '', '"', '\\', '$x', '*', 'é\n']]
  ])('comes back as the same words: %j', words => {
    expect(splitWords(joinWords(words)).words).toEqual(words);
  });

  it('quotes no more than it has to', () => {
    expect(joinWords(['python', '-c', 'print(1)'])).toBe("python -c 'print(1)'");
    expect(joinWords(['python', '-c', "print('a')"])).toBe('python -c "print(\'a\')"');
  });
});
