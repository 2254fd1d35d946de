import { ReactWidget } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';
import * as React from 'react';

import { perijoveIcon } from '../core';
import { RunningJobs } from './running';

/** The status bar's item: how many jobs have not ended. */
export class RunningStatus extends ReactWidget {
  readonly #running: RunningJobs;
  readonly #onClick: () => void;
  private readonly _trans: TranslationBundle;

  constructor(running: RunningJobs, onClick: () => void, trans: TranslationBundle) {
    super();
    this.#running = running;
    this.#onClick = onClick;
    this._trans = trans;
    this.#running.changed.connect(this.#onChanged, this);
  }

  /** Whether there is anything to show may have changed. */
  get activeChanged(): ISignal<this, void> {
    return this.#activeChanged;
  }

  protected override render(): React.ReactElement {
    const { count } = this.#running;
    const text = this._trans._n('%1 job', '%1 jobs', count);
    return (
      <button
        className="jp-PerijoveStatus"
        title={this._trans.__('Show the jobs')}
        onClick={this.#onClick}
      >
        <perijoveIcon.react tag="span" stylesheet="statusBar" />
        {text}
      </button>
    );
  }

  #onChanged(): void {
    this.update();
    this.#activeChanged.emit();
  }

  readonly #activeChanged = new Signal<this, void>(this);
}
