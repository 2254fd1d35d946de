import * as React from 'react';

/** What a control needs so that its label, hint and error are announced with it. */
export interface IControlProps {
  readonly id: string;
  readonly 'aria-invalid': boolean;
  readonly 'aria-describedby': string | undefined;
  readonly className: string;
}

/** A control with its label, and beside it what is wrong and what to do. */
export function FormField(props: {
  label: string;
  hint?: string;
  error?: string;
  children: (control: IControlProps) => React.ReactNode;
}): JSX.Element {
  const { label, hint, error, children } = props;
  const id = React.useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div className={`jp-PerijoveEdit-field${error ? ' jp-mod-invalid' : ''}`}>
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        'aria-invalid': error !== undefined,
        'aria-describedby': described || undefined,
        className: 'jp-mod-styled'
      })}
      {error && (
        <div id={`${id}-error`} className="jp-PerijoveEdit-error">
          {error}
        </div>
      )}
      {hint && !error && (
        <div id={`${id}-hint`} className="jp-PerijoveEdit-hint">
          {hint}
        </div>
      )}
    </div>
  );
}
