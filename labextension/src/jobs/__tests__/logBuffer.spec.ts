import { findAll, LogBuffer, placeOf } from '../logBuffer';

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

  it('stays small when no line ever ends', () => {
    const log = new LogBuffer();
    for (let i = 0; i < 100; i++) {
      log.push('x'.repeat(1000));
    }
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0].length).toBeLessThanOrEqual(4000);
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
