import '../../style/views.js';

import { TranslationBundle } from '@jupyterlab/translation';

import { IModel } from '../api';
import { showForm } from '../core';
import { ModelsApi } from './api';

type OnModel = (model: IModel) => void;

/** Ask for a repository of the hub and begin to pull from it. */
export function showPullForm(
  api: ModelsApi,
  onModel: OnModel,
  trans: TranslationBundle
): Promise<boolean> {
  return showForm(
    {
      title: trans.__('Pull a model from the hub'),
      submitLabel: trans.__('Pull'),
      fields: [
        {
          name: 'repo',
          label: trans.__('Repository'),
          placeholder: trans.__('HuggingFaceTB/SmolLM2-360M-Instruct-GGUF'),
          help: trans.__('A Hugging Face repository that holds GGUF files.'),
          required: true
        },
        {
          name: 'file',
          label: trans.__('File'),
          placeholder: trans.__('smollm2-360m-instruct-q8_0.gguf'),
          help: trans.__('Left empty, a quantization is chosen.')
        },
        nameField(trans)
      ],
      submit: async values => {
        const repo = values.repo.trim();
        const file = values.file.trim() || undefined;
        onModel(await api.create({ source: { type: 'hub', repo, file }, id: name(values.id) }));
      }
    },
    trans
  );
}

/** Ask for weights on the platform's machine and register them. `pick` asks for a path of that machine, where it can be browsed. */
export function showRegisterForm(
  api: ModelsApi,
  onModel: OnModel,
  pick: (() => Promise<string | null>) | null,
  trans: TranslationBundle
): Promise<boolean> {
  return showForm(
    {
      title: trans.__('Register a model'),
      submitLabel: trans.__('Register'),
      fields: [
        {
          name: 'path',
          label: trans.__('File or folder'),
          placeholder: trans.__('/home/me/models/model.gguf'),
          help: trans.__(
            'A GGUF file, or a folder that holds one, on the machine of the platform. It stays where it is.'
          ),
          picker: pick ? { label: trans.__('Browse…'), pick } : undefined,
          required: true
        },
        nameField(trans)
      ],
      submit: async values => {
        const path = values.path.trim();
        onModel(await api.create({ source: { type: 'path', path }, id: name(values.id) }));
      }
    },
    trans
  );
}

/** Ask for a further name. */
export function showAliasForm(
  api: ModelsApi,
  id: string,
  onModel: OnModel,
  trans: TranslationBundle
): Promise<boolean> {
  return showForm(
    {
      title: trans.__('Add a name for %1', id),
      submitLabel: trans.__('Add'),
      fields: [
        {
          name: 'alias',
          label: trans.__('Name'),
          help: trans.__('Requests may name the model so.'),
          required: true
        }
      ],
      submit: async values => onModel(await api.addAlias(id, values.alias.trim()))
    },
    trans
  );
}

function nameField(trans: TranslationBundle): { name: string; label: string; help: string } {
  return {
    name: 'id',
    label: trans.__('Name'),
    help: trans.__('What requests call the model. Left empty, it follows from the file.')
  };
}

function name(text: string): string | undefined {
  return text.trim() || undefined;
}
