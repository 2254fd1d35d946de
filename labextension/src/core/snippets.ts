import { Clipboard, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { DisposableDelegate, IDisposable } from '@lumino/disposable';

import { NotebookWriter } from './notebooks';
import { attempt } from './notifications';
import { IPerijovePreferences, SnippetFlavour } from './preferences';

/** Writes the code that works with one object, in each flavour. */
export type SnippetMaker = Readonly<Record<SnippetFlavour, (id: string) => string>>;

/** Code for the objects of each kind. */
export interface ISnippets {
  add(kind: string, maker: SnippetMaker): IDisposable;
  /** The code, in the flavour of the settings unless told. */
  text(kind: string, id: string, flavour?: SnippetFlavour): string;
  /** Put the code into a cell of the current notebook, or of a new one, and show it; where Lab has no notebooks, into the clipboard. */
  insert(kind: string, id: string, flavour?: SnippetFlavour): Promise<void>;
}

export const ISnippets = new Token<ISnippets>(
  '@perijove/labextension:ISnippets',
  'Code that works with an object of the platform, for notebooks.'
);

export class Snippets implements ISnippets {
  readonly #notebooks: NotebookWriter;
  readonly #preferences: IPerijovePreferences;
  private readonly _trans: TranslationBundle;

  constructor(
    notebooks: NotebookWriter,
    preferences: IPerijovePreferences,
    trans: TranslationBundle
  ) {
    this.#notebooks = notebooks;
    this.#preferences = preferences;
    this._trans = trans;
  }

  add(kind: string, maker: SnippetMaker): IDisposable {
    this.#makers.set(kind, maker);
    return new DisposableDelegate(() => void this.#makers.delete(kind));
  }

  text(kind: string, id: string, flavour?: SnippetFlavour): string {
    const maker = this.#makers.get(kind);
    return maker ? maker[flavour ?? this.#preferences.values.snippetFlavour](id) : id;
  }

  async insert(kind: string, id: string, flavour?: SnippetFlavour): Promise<void> {
    const code = this.text(kind, id, flavour);
    await attempt(
      this._trans.__('The code was not inserted.'),
      async () => {
        if ((await this.#notebooks.insert([{ type: 'code', source: code }])) === null) {
          Clipboard.copyToSystem(code);
          Notification.info(
            this._trans.__('There are no notebooks here: the code is in the clipboard instead.')
          );
        }
      },
      this._trans
    );
  }

  readonly #makers = new Map<string, SnippetMaker>();
}

/** Python that begins with `client`, the OpenAI client of the platform. */
export function clientSnippet(...lines: readonly string[]): string {
  return ['import perijove', '', 'client = perijove.client()', ...lines].join('\n');
}

/** A cell that asks the platform by curl; its key is never part of a command line. */
export function curlSnippet(path: string, json?: unknown): string {
  const body =
    json === undefined ? '' : ` \\\n  --json '${JSON.stringify(json).replace(/'/g, "'\\''")}'`;
  return [
    '%%bash',
    'read -r url key < <(perijove status --json | python -c \'import json, sys; s = json.load(sys.stdin); print(s["base_url"], s["api_key"])\')',
    `curl -sS "$url${path}" -H @<(echo "Authorization: Bearer $key")${body}`
  ].join('\n');
}
