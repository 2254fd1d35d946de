import { nullTranslator } from '@jupyterlab/translation';

import { formatBytes, formatCount, formatDuration, formatRelative } from '../format';

const trans = nullTranslator.load('perijove');

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1500, '1.5 kB'],
    [144_811_392, '145 MB'],
    [999_900_000, '1.0 GB'],
    [null, '–']
  ])('%p is %p', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('formatCount', () => {
  it.each([
    [512, '512'],
    [8192, '8192'],
    [134_515_008, '135 M'],
    [1_200_000_000, '1.2 B']
  ])('%p is %p', (count, text) => {
    expect(formatCount(count)).toBe(text);
  });
});

describe('formatDuration', () => {
  it.each([
    [4.4, '4 s'],
    [125, '2 min 5 s'],
    [3_700, '1 h 1 min'],
    [90_000, '1 d 1 h']
  ])('%p s is %p', (seconds, text) => {
    expect(formatDuration(seconds, trans)).toBe(text);
  });
});

describe('formatRelative', () => {
  const now = 1_800_000_000;
  it.each([
    [now - 5, 'now'],
    [now - 300, '5 min. ago'],
    [now - 7_200, '2 hr. ago'],
    [now - 86_400, 'yesterday'],
    [now + 7_200, 'in 2 hr.']
  ])('%p is %p', (at, text) => {
    expect(formatRelative(at, now * 1000, 'en')).toBe(text);
  });
});
