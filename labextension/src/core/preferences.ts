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
    return this._values;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  async follow(registry: ISettingRegistry, plugin: string): Promise<void> {
    this._settings = await registry.load(plugin);
    this._settings.changed.connect(this._read, this);
    this._read();
  }

  async set<K extends keyof IPreferenceValues>(
    name: K,
    value: IPreferenceValues[K]
  ): Promise<void> {
    if (this._settings) {
      await this._settings.set(name, value);
    } else {
      this._values = { ...this._values, [name]: value };
      this._changed.emit();
    }
  }

  private _read(): void {
    if (this._settings) {
      this._values = { ...DEFAULTS, ...(this._settings.composite as Partial<IPreferenceValues>) };
      this._changed.emit();
    }
  }

  private _values = DEFAULTS;
  private _settings: ISettingRegistry.ISettings | null = null;
  private readonly _changed = new Signal<this, void>(this);
}
