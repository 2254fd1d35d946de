import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Token } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';

export type SnippetFlavour = 'client' | 'magic' | 'curl';

/** What a person set in the settings page. */
export interface IPreferenceValues {
  readonly snippetFlavour: SnippetFlavour;
  readonly confirmDelete: boolean;
  readonly uploadPurpose: string;
  readonly parallelParts: number;
}

export interface IPerijovePreferences {
  readonly values: IPreferenceValues;
  readonly changed: ISignal<IPerijovePreferences, void>;
  set<K extends keyof IPreferenceValues>(name: K, value: IPreferenceValues[K]): Promise<void>;
}

export const IPerijovePreferences = new Token<IPerijovePreferences>(
  '@perijove/labextension:IPerijovePreferences',
  'The settings of the Perijove panels.'
);

const DEFAULTS: IPreferenceValues = {
  snippetFlavour: 'client',
  confirmDelete: true,
  uploadPurpose: 'fine-tune',
  parallelParts: 2
};

/** Follows Lab's settings; without a settings registry the defaults hold and changes last until a reload. */
export class Preferences implements IPerijovePreferences {
  get values(): IPreferenceValues {
    return this.#values;
  }

  get changed(): ISignal<this, void> {
    return this.#changed;
  }

  async follow(registry: ISettingRegistry, plugin: string): Promise<void> {
    this.#settings = await registry.load(plugin);
    this.#settings.changed.connect(this.#read, this);
    this.#read();
  }

  async set<K extends keyof IPreferenceValues>(
    name: K,
    value: IPreferenceValues[K]
  ): Promise<void> {
    if (this.#settings) {
      await this.#settings.set(name, value);
    } else {
      this.#values = { ...this.#values, [name]: value };
      this.#changed.emit();
    }
  }

  #read(): void {
    if (this.#settings) {
      this.#values = { ...DEFAULTS, ...(this.#settings.composite as Partial<IPreferenceValues>) };
      this.#changed.emit();
    }
  }

  #values = DEFAULTS;
  #settings: ISettingRegistry.ISettings | null = null;
  readonly #changed = new Signal<this, void>(this);
}
