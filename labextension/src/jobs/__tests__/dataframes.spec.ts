import { fromPythonString, KernelError } from '../dataframes';

describe('fromPythonString', () => {
  it.each([
    ["'plain'", 'plain'],
    ['"it\'s"', "it's"],
    ["'a\\'b\"c'", 'a\'b"c'],
    ['\'["a\\\\n", "\\u00e9"]\'', '["a\\n", "é"]'],
    ["'line\\nnext\\ttab'", 'line\nnext\ttab'],
    ["'\\x1b\\U0001f680'", '\u001b🚀']
  ])('%s', (repr, text) => {
    expect(fromPythonString(repr)).toBe(text);
  });

  it('refuses what is no string', () => {
    expect(() => fromPythonString('None')).toThrow(KernelError);
  });
});
