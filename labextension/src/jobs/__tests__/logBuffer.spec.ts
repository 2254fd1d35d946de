import {
  findAll,
  findAttempts,
  LogBuffer,
  matchFrom,
  MAX_LINE_LENGTH,
  placeOf
} from '../logBuffer';

describe('LogBuffer', () => {
  it('puts pieces together to lines', () => {
    const log = new LogBuffer();
    log.push('one\ntw');
    expect(log.lines).toEqual(['one', 'tw']);
    log.push('o\r\nthree\n');
    expect(log.lines).toEqual(['one', 'two', 'three']);
  });

  it('shows a progress bar as a terminal does', () => {
    const log = new LogBuffer();
    log.push(' 10%\r 50%');
    expect(log.lines).toEqual([' 50%']);
    log.push('\r100%\ndone');
    expect(log.lines).toEqual(['100%', 'done']);
  });

  it('forgets the oldest lines and counts them', () => {
    const log = new LogBuffer(3);
    log.push('1\n2\n3\n4\n5\n');
    expect(log.lines).toEqual(['3', '4', '5']);
    expect(log.dropped).toBe(2);
  });

  it('forgets lines when they are many characters, but never the last', () => {
    const log = new LogBuffer(100, 10);
    log.push('aaaa\nbbbb\ncccc\n');
    expect(log.lines).toEqual(['bbbb', 'cccc']);
    log.push(`${'d'.repeat(20)}\n`);
    expect(log.lines).toEqual(['d'.repeat(20)]);
    expect(log.dropped).toBe(3);
  });

  it('holds the beginning of a line that never ends, and goes on with the next', () => {
    const log = new LogBuffer();
    log.push('begin ');
    for (let i = 0; i < 300; i++) {
      log.push('x'.repeat(1000));
    }
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toHaveLength(MAX_LINE_LENGTH);
    expect(log.lines[0].startsWith('begin xxx')).toBe(true);
    log.push('x\nnext\n');
    expect(log.lines.slice(1)).toEqual(['next']);
  });

  it('keeps a line whose carriage return and end come in two pieces', () => {
    const log = new LogBuffer();
    log.push('50%\r100%\r');
    log.push('\nnext\r\n');
    expect(log.complete).toEqual(['100%', 'next']);
  });
});

describe('placeOf', () => {
  it('finds what is held although its first line is cut', () => {
    expect(placeOf(['ne', 'two'], ['zero', 'one', 'two', 'three'])).toBe(1);
    expect(placeOf([], ['one'])).toBe(1);
  });

  it('finds nothing that is not all there', () => {
    expect(placeOf(['one', 'two'], ['zero', 'one'])).toBe(-1);
    expect(placeOf(['one', 'two'], ['one', 'three', 'two'])).toBe(-1);
  });
});

describe('findAll', () => {
  it('finds every place without regard to case', () => {
    expect(findAll(['Loss loss', 'x', 'LOSS'], 'loss')).toEqual([
      { line: 0, start: 0 },
      { line: 0, start: 5 },
      { line: 2, start: 0 }
    ]);
  });

  it('finds nothing without a query and stops at the limit', () => {
    expect(findAll(['a'], '')).toEqual([]);
    expect(findAll(['aaaa'], 'a', 2)).toHaveLength(2);
  });
});

describe('matchFrom', () => {
  const matches = findAll(['a', 'b a', 'a'], 'a');

  it('stays at its place when lines above it go', () => {
    expect(matchFrom(matches, null)).toBe(0);
    expect(matchFrom(matches, { line: 1, start: 2 })).toBe(1);
    expect(matchFrom(matches, { line: 1, start: 3 })).toBe(2);
    expect(matchFrom(matches, { line: -5, start: 0 })).toBe(0);
    expect(matchFrom(matches, { line: 9, start: 0 })).toBe(2);
  });

  it('is nowhere without a match', () => {
    expect(matchFrom([], null)).toBe(-1);
    expect(matchFrom([], { line: 0, start: 0 })).toBe(-1);
  });
});

describe('findAttempts', () => {
  it('finds where another attempt begins, and nothing else that says so', () => {
    const lines = ['one', '[perijove] attempt 2, pod a-x', 'say [perijove] attempt 9', 'two'];
    expect(findAttempts([...lines, '[perijove] attempt 13, pod a-y'])).toEqual([
      { attempt: 2, line: 1 },
      { attempt: 13, line: 4 }
    ]);
  });
});
