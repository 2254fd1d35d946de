import { IStateDB } from '@jupyterlab/statedb';
import { ReadonlyPartialJSONValue } from '@lumino/coreutils';

import { IChatState } from './session';

const NAMESPACE = 'perijove-chat';

/** Conversations that are kept; the oldest go when there are more. */
const MAX_KEPT = 20;

/** Keeps conversations over a reload, within bounds. */
export class ChatStorage {
  readonly #state: IStateDB | null;

  constructor(state: IStateDB | null) {
    this.#state = state;
  }

  async load(id: string): Promise<IChatState | null> {
    const kept = (await this.#state?.fetch(key(id))) as IKept | undefined;
    return kept?.chat ?? null;
  }

  async save(id: string, chat: IChatState): Promise<void> {
    const kept: IKept = { at: Date.now(), chat };
    await this.#state?.save(key(id), kept as unknown as ReadonlyPartialJSONValue);
  }

  /** Forget the oldest conversations beyond the bound. */
  async prune(): Promise<void> {
    const { ids, values } = (await this.#state?.list(NAMESPACE)) ?? { ids: [], values: [] };
    const aged = ids
      .map((id, index) => ({ id, at: (values[index] as unknown as IKept | undefined)?.at ?? 0 }))
      .sort((a, b) => b.at - a.at);
    for (const { id } of aged.slice(MAX_KEPT)) {
      await this.#state?.remove(id);
    }
  }
}

interface IKept {
  readonly at: number;
  readonly chat: IChatState;
}

function key(id: string): string {
  return `${NAMESPACE}:${id}`;
}
