import { TranslationBundle } from '@jupyterlab/translation';

/** Purposes that a person may choose for an upload. */
export const PURPOSES = ['fine-tune', 'assistants', 'user_data'] as const;

/** A purpose in words; those that have none are shown as they are. */
export function purposeText(purpose: string, trans: TranslationBundle): string {
  switch (purpose) {
    case 'fine-tune':
      return trans.__('Fine-tuning');
    case 'assistants':
      return trans.__('Vector stores');
    case 'user_data':
      return trans.__('Other');
    case 'fine-tune-results':
      return trans.__('Result of a job');
    default:
      return purpose;
  }
}
