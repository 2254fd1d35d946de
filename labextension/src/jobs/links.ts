import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

/** What a job's tab shows besides the job, and where it leads. */
export interface IJobLinks {
  readonly commands: CommandRegistry;
  readonly openFile: (fileId: string) => void;
  /** Null where clusters have no tabs. */
  readonly openCluster: ((name: string) => void) | null;
  readonly insertCode: (id: string) => void;
  readonly downloadLog: (id: string) => void;
  /** Names of files by their ids, as far as they are known. */
  readonly fileNames: ReadonlyMap<string, string>;
  readonly trans: TranslationBundle;
}
