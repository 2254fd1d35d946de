import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IModel } from '../api';
import { formatBytes, IColumn, RelativeTime } from '../core';
import { ModelStateView, stateText } from './ModelStateView';

export function kindText(model: IModel, trans: TranslationBundle): string {
  const kind = model.kind === 'embedding' ? trans.__('Embedding') : trans.__('Chat');
  return model.base_model === null ? kind : trans.__('%1, fine-tuned', kind);
}

export function modelColumns(trans: TranslationBundle): readonly IColumn<IModel>[] {
  return [
    {
      id: 'name',
      title: trans.__('Name'),
      width: 'minmax(90px, 1fr)',
      value: model => [model.id, ...model.aliases].join(' '),
      render: model => <span title={[model.id, ...model.aliases].join('\n')}>{model.id}</span>
    },
    {
      id: 'state',
      title: trans.__('State'),
      width: '96px',
      value: model => stateText(model, trans),
      render: model => <ModelStateView model={model} trans={trans} />
    },
    {
      id: 'kind',
      title: trans.__('Kind'),
      width: '110px',
      wide: true,
      value: model => kindText(model, trans),
      render: model => kindText(model, trans)
    },
    {
      id: 'size',
      title: trans.__('Size'),
      width: '64px',
      wide: true,
      align: 'end',
      value: model => model.size_bytes ?? 0,
      render: model => formatBytes(model.size_bytes)
    },
    {
      id: 'created',
      title: trans.__('Added'),
      width: '88px',
      wide: true,
      value: model => model.created,
      render: model => <RelativeTime at={model.created} />
    }
  ];
}
