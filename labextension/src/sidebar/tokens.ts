import { LabIcon } from '@jupyterlab/ui-components';
import { Token } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';
import { Widget } from '@lumino/widgets';

import { RunningJobs } from './running';

/** A button in a section's title. */
export interface ISectionButton {
  readonly command: string;
  readonly icon: LabIcon;
  /** What the button does, for the tooltip and screen readers. */
  readonly label: string;
}

/** One part of the accordion. */
export interface ISection {
  readonly id: string;
  readonly title: string;
  /** Lower is higher: Models 10, Files 20, Jobs 30, Vector stores 40, Clusters 50. */
  readonly rank: number;
  readonly toolbar?: readonly ISectionButton[];
  /** Called when the panel is first seen with the platform ready, so import views here. */
  readonly create: () => Promise<Widget>;
}

/** The panel in the side bar. */
export interface IPerijovePanel {
  addSection(section: ISection): IDisposable;
  /** Bring the panel to the front, with this section open. */
  show(sectionId?: string): void;
  /** Jobs of any kind that have not ended. */
  readonly running: RunningJobs;
}

export const IPerijovePanel = new Token<IPerijovePanel>(
  '@perijove/labextension:IPerijovePanel',
  'The Perijove panel in the side bar, to which sections are added.'
);
