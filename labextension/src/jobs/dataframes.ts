import { Kernel, KernelMessage } from '@jupyterlab/services';

/** A pandas DataFrame that lives in a kernel. */
export interface IDataFrame {
  readonly name: string;
  readonly rows: number;
  /** The first columns. */
  readonly columns: readonly string[];
}

/** A kernel said no; the message is Python's. */
export class KernelError extends Error {}

/** The most DataFrames and columns that are listed. */
const MAX_FRAMES = 50;
const MAX_COLUMNS = 20;

/**
 * One expression that only looks: it imports nothing that is not imported yet,
 * evaluates no property of the person's own objects and changes no name.
 */
const LIST_FRAMES = [
  '__import__("json").dumps([',
  `[name, len(value), [str(column) for column in list(value.columns)[:${MAX_COLUMNS}]]]`,
  'for name, value in list(globals().items())',
  'if not name.startswith("_") and type(value).__name__ == "DataFrame"',
  'and type(value).__module__.split(".")[0] == "pandas"',
  `][:${MAX_FRAMES}])`
].join(' ');

/**
 * The DataFrames among a Python kernel's variables.
 *
 * @throws KernelError when the kernel cannot say, e.g. because it is not Python
 */
export async function listDataFrames(kernel: Kernel.IKernelConnection): Promise<IDataFrame[]> {
  const listed: [string, number, string[]][] = JSON.parse(await evaluate(kernel, LIST_FRAMES));
  return listed.map(([name, rows, columns]) => ({ name, rows, columns }));
}

/**
 * Turn a DataFrame into JSON Lines inside of its kernel and upload it from there.
 *
 * @returns the id of the new file
 * @throws KernelError with Python's own words, e.g. which row is wrong
 */
export async function uploadDataFrame(
  kernel: Kernel.IKernelConnection,
  name: string
): Promise<string> {
  const frame = `globals()[${JSON.stringify(name)}]`;
  const filename = JSON.stringify(`${name}.jsonl`);
  return evaluate(kernel, `__import__("perijove").upload(${frame}, filename=${filename}).id`);
}

/**
 * Evaluate an expression whose value is a string, leaving no trace in the
 * notebook: no output, no history, no execution count.
 */
async function evaluate(kernel: Kernel.IKernelConnection, expression: string): Promise<string> {
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    allow_stdin: false,
    user_expressions: { value: expression }
  });
  const reply = await future.done;
  if (reply.content.status !== 'ok') {
    throw new KernelError(reply.content.status === 'error' ? reply.content.evalue : 'aborted');
  }
  return readValue(reply.content as KernelMessage.IReplyOkContent & IWithExpressions);
}

interface IWithExpressions {
  readonly user_expressions?: Readonly<Record<string, unknown>>;
}

interface IExpressionValue {
  readonly status?: string;
  readonly ename?: string;
  readonly evalue?: string;
  readonly data?: { readonly 'text/plain'?: string };
}

/** The string behind its Python representation. */
function readValue(content: IWithExpressions): string {
  const value = content.user_expressions?.value as IExpressionValue | undefined;
  const text = value?.data?.['text/plain'];
  if (value?.status !== 'ok' || text === undefined) {
    const reason = [value?.ename, value?.evalue].filter(Boolean).join(': ');
    throw new KernelError(reason);
  }
  return fromPythonString(text);
}

/**
 * The string that a Python `repr` of a string stands for.
 */
export function fromPythonString(repr: string): string {
  const quote = repr[0];
  if (repr.length < 2 || (quote !== "'" && quote !== '"') || !repr.endsWith(quote)) {
    throw new KernelError(repr);
  }
  const simple: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
  return repr
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gs,
      (_, x: string, u: string, long: string, one: string) =>
        one !== undefined
          ? (simple[one] ?? one)
          : String.fromCodePoint(parseInt(x ?? u ?? long, 16))
    );
}
