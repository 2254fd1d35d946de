import { PromiseDelegate } from '@lumino/coreutils';

import { LogModel, OpenLog } from '../logModel';

function ended(model: LogModel): Promise<void> {
  return new Promise(resolve =>
    model.changed.connect(() => {
      if (!model.streaming) {
        resolve();
      }
    })
  );
}

function until(model: LogModel, holds: () => boolean): Promise<void> {
  return new Promise(resolve => {
    const check = () => {
      if (holds()) {
        model.changed.disconnect(check);
        resolve();
      }
    };
    model.changed.connect(check);
    check();
  });
}

describe('LogModel', () => {
  it('reads to the end', async () => {
    const model = new LogModel(async function* () {
      yield 'one\ntw';
      yield 'o\n';
    });
    const done = ended(model);
    model.start();
    expect(model.streaming).toBe(true);
    await done;
    expect(model.lines).toEqual(['one', 'two']);
    expect(model.hasEarlier).toBe(false);
  });

  it('says why it cannot read', async () => {
    const model = new LogModel(async function* () {
      yield* [];
      throw new Error('No log was written.');
    });
    const done = ended(model);
    model.start();
    await done;
    expect(model.error).toBe('No log was written.');
  });

  it('reads further back, from the beginning of what it then holds', async () => {
    const tails: number[] = [];
    const open: OpenLog = async function* ({ tail }) {
      tails.push(tail);
      yield 'a line\n'.repeat(Math.ceil(tail / 7));
    };
    const model = new LogModel(open);
    let done = ended(model);
    model.start();
    await done;
    expect(model.hasEarlier).toBe(true);
    done = ended(model);
    model.loadEarlier();
    await done;
    expect(tails).toEqual([65_536, 524_288]);
    expect(model.lines).toHaveLength(10_000);
    expect(model.hasEarlier).toBe(false);
  });

  it('shows what it holds until the earlier lines are all there', async () => {
    const log = Array.from({ length: 20_000 }, (_, i) => `line ${i}`);
    const text = (lines: readonly string[]) => lines.map(line => `${line}\n`).join('');
    const release = new PromiseDelegate<void>();
    const model = new LogModel(async function* ({ tail }) {
      const whole = text(log);
      const sent = whole.slice(Math.max(0, whole.length - tail));
      yield sent.slice(0, sent.length / 2);
      if (tail > 65_536) {
        await release.promise;
      }
      yield sent.slice(sent.length / 2);
      await new Promise(() => undefined);
    });
    model.start();
    await until(model, () => model.lines.includes('line 19999'));
    const [, second] = model.lines;
    const number = model.first + 1;
    model.loadEarlier();
    expect(model.loadingEarlier).toBe(true);
    await new Promise(resolve => setTimeout(resolve, 150));
    expect(model.lines[1]).toBe(second);
    release.resolve();
    await until(model, () => !model.loadingEarlier);
    expect(model.lines).toEqual(log.slice(-10_000));
    expect(model.lines[number - model.first]).toBe(second);
    expect(model.first).toBeLessThan(0);
    model.dispose();
  });

  it('knows when there is nothing earlier', async () => {
    const text = 'a line that is repeated\n'.repeat(4_000);
    const model = new LogModel(async function* ({ tail }) {
      yield `first\n${text}`.slice(-tail);
    });
    let done = ended(model);
    model.start();
    await done;
    done = ended(model);
    model.loadEarlier();
    await done;
    expect(model.lines).toHaveLength(4_001);
    expect(model.lines[0]).toBe('first');
    expect(model.hasEarlier).toBe(false);
    expect(model.cut).toBe(false);
  });

  it('reads on after a break without losing or doubling a line', async () => {
    let written = 'one\ntwo\n';
    const model = new LogModel(async function* () {
      yield written;
    });
    let done = ended(model);
    model.start();
    await done;
    written += 'three\n';
    done = ended(model);
    model.resume();
    expect(model.lines).toEqual(['one', 'two']);
    await done;
    expect(model.lines).toEqual(['one', 'two', 'three']);
  });

  it('keeps what it holds when the earlier lines do not come', async () => {
    const model = new LogModel(async function* ({ tail }) {
      if (tail > 65_536) {
        throw new Error('Gone.');
      }
      yield 'a line\n'.repeat(10_000).slice(0, tail);
    });
    let done = ended(model);
    model.start();
    await done;
    const { lines } = model;
    done = ended(model);
    model.loadEarlier();
    await done;
    expect(model.error).toBe('Gone.');
    expect(model.lines).toEqual(lines);
    expect(model.hasEarlier).toBe(true);
  });

  it('aborts the request when it is stopped', () => {
    let signal: AbortSignal | undefined;
    const model = new LogModel((_, s) => {
      signal = s;
      return (async function* () {
        await new Promise(() => undefined);
        yield '';
      })();
    });
    model.start();
    model.stop();
    expect(signal?.aborted).toBe(true);
    expect(model.streaming).toBe(false);
  });
});
