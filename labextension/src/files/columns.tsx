import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IFile } from '../api';
import { formatBytes, IColumn, RelativeTime } from '../core';
import { purposeText } from './purposes';

export function fileColumns(trans: TranslationBundle): readonly IColumn<IFile>[] {
  return [
    {
      id: 'name',
      title: trans.__('Name'),
      width: 'minmax(70px, 1fr)',
      value: file => file.filename,
      render: file => <span title={`${file.filename}\n${file.id}`}>{file.filename}</span>
    },
    {
      id: 'purpose',
      title: trans.__('Purpose'),
      width: '110px',
      wide: true,
      value: file => purposeText(file.purpose, trans),
      render: file => purposeText(file.purpose, trans)
    },
    {
      id: 'size',
      title: trans.__('Size'),
      width: '60px',
      align: 'end',
      value: file => file.bytes,
      render: file => formatBytes(file.bytes)
    },
    {
      id: 'created',
      title: trans.__('Added'),
      width: '76px',
      value: file => file.created_at,
      render: file => <RelativeTime at={file.created_at} />
    }
  ];
}
