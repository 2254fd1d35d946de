import { TranslationBundle } from '@jupyterlab/translation';
import { buildIcon, LabIcon, terminalIcon } from '@jupyterlab/ui-components';

import { JobObject } from '../api';
import { IJob } from './types';
import { joinWords } from './words';

/** Characters of a command that stand for the job's name. */
const SHOWN = 60;

/** What kind of job it is, in words. */
export function kindText(object: JobObject, trans: TranslationBundle): string {
  return object === 'batch_job' ? trans.__('Batch job') : trans.__('Fine-tune');
}

export function kindIcon(object: JobObject): LabIcon {
  return object === 'batch_job' ? terminalIcon : buildIcon;
}

/** What a job is called in lists and questions: what it was named, else what it trains or runs. */
export function nameOf(job: IJob | undefined, id = ''): string {
  if (job?.object === 'batch_job') {
    const command = joinWords(job.command);
    return job.name ?? (command.length > SHOWN ? `${command.slice(0, SHOWN)}…` : command);
  }
  const suffix = job?.suffix ?? job?.user_provided_suffix;
  return job && suffix ? `${suffix} (${job.model})` : (job?.model ?? id);
}

/** The files that a job works on. */
export function filesOf(job: IJob): readonly string[] {
  return job.object === 'batch_job'
    ? job.files.map(file => file.file_id)
    : [job.training_file, ...(job.validation_file ? [job.validation_file] : [])];
}
