import { EventStreamDecoder } from '../sse';

function decode(...pieces: string[]) {
  const decoder = new EventStreamDecoder();
  return pieces.flatMap(piece => decoder.push(piece));
}

describe('EventStreamDecoder', () => {
  it('gives the same events however the text is cut', () => {
    const text = 'id: 7\nevent: a\ndata: {"x":\ndata: 1}\n\n: ping\n\ndata:two\r\n\r\ndata: 3\r\rdata';
    const whole = decode(text);
    expect(whole).toEqual([
      { event: 'a', data: '{"x":\n1}', id: '7' },
      { event: 'message', data: 'two', id: '7' },
      { event: 'message', data: '3', id: '7' }
    ]);
    for (let cut = 0; cut <= text.length; cut++) {
      expect(decode(text.slice(0, cut), text.slice(cut))).toEqual(whole);
    }
    expect(decode(...text)).toEqual(whole);
  });

  it('drops an event that the stream did not finish', () => {
    expect(decode('data: half\n')).toEqual([]);
  });

  it('takes off a byte order mark', () => {
    expect(decode('\uFEFFdata: x\n\n')).toEqual([{ event: 'message', data: 'x', id: '' }]);
  });
});
