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
