import { LabIcon } from '@jupyterlab/ui-components';

import logo from '../../style/icons/perijove.svg';

export const perijoveIcon = new LabIcon({ name: 'perijove:logo', svgstr: logo });
