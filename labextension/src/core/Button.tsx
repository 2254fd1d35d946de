import * as React from 'react';

interface IProps extends React.ButtonHTMLAttributes<HTMLButtonElement> {
  /** What a form is for, or what cannot be undone. */
  readonly mod?: 'accept' | 'warn';
}

/** A button of the panels, which sends no form unless its `type` says so. */
export function Button({ mod, ...rest }: IProps): React.ReactElement {
  const style = mod ? `jp-mod-${mod}` : '';
  return <button type="button" className={`jp-PerijoveButton ${style}`} {...rest} />;
}
