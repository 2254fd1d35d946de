import { durationText, parseDuration } from '../duration';

describe('parseDuration', () => {
  it.each([
    ['90 min', 5_400],
    ['1 h 30 min', 5_400],
    ['1.5h', 5_400],
    [' 2d ', 172_800],
    ['45s', 45]
  ])('%j is %d s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', '90', 'soon', '5 weeks', '1 h and', 'min 5', '-5 min'])('refuses %j', text => {
    expect(parseDuration(text)).toBeNaN();
  });
});

describe('durationText', () => {
  it.each([1, 60, 5_400, 3_661, 90_061, 31_536_000])('loses nothing of %d s', seconds => {
    expect(parseDuration(durationText(seconds))).toBe(seconds);
  });
});
