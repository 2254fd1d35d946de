import { ReactWidget } from '@jupyterlab/ui-components';
import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';
import * as React from 'react';

import { perijoveIcon } from '../core';
import { RunningJobs } from './running';

/** The status bar's item: how many jobs have not ended. */
export class RunningStatus extends ReactWidget {
  constructor(
    private readonly _running: RunningJobs,
    private readonly _onClick: () => void,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this._running.changed.connect(this._onChanged, this);
  }

  /** Whether there is anything to show may have changed. */
  get activeChanged(): ISignal<this, void> {
    return this._activeChanged;
  }

  protected override render(): React.ReactElement {
    const { count } = this._running;
    const text = this._trans._n('%1 job', '%1 jobs', count);
    return (
      <button
        className="jp-PerijoveStatus"
        title={this._trans.__('Show the jobs')}
        onClick={this._onClick}
      >
        <perijoveIcon.react tag="span" stylesheet="statusBar" />
        {text}
      </button>
    );
  }

  private _onChanged(): void {
    this.update();
    this._activeChanged.emit();
  }

  private readonly _activeChanged = new Signal<this, void>(this);
}
