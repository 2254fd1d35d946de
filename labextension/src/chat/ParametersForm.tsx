import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IChatParameters, validateParameters } from './parameters';

interface IParametersFormProps {
  readonly parameters: IChatParameters;
  readonly onChange: (parameters: IChatParameters) => void;
  /** Grounded answers take fewer parameters. */
  readonly grounded: boolean;
  readonly trans: TranslationBundle;
}

/** How an answer is drawn; folded until somebody wants it. */
export function ParametersForm(props: IParametersFormProps): JSX.Element {
  const { parameters, onChange, grounded, trans } = props;
  const errors = validateParameters(parameters, trans);
  const field = (name: keyof IChatParameters, label: string, rest: Partial<IFieldProps> = {}) => (
    <Field
      label={label}
      value={parameters[name]}
      error={errors[name]}
      onChange={value => onChange({ ...parameters, [name]: value })}
      placeholder={trans.__('default')}
      {...rest}
    />
  );
  return (
    <details className="jp-PerijoveChat-parameters">
      <summary>{trans.__('Parameters')}</summary>
      <div className="jp-PerijoveChat-fields">
        {field('system', trans.__('System prompt'), {
          lines: 2,
          placeholder: trans.__('How the model is to behave')
        })}
        {field('temperature', trans.__('Temperature'))}
        {field('topP', trans.__('Top p'))}
        {field('maxTokens', trans.__('Max tokens'))}
        {!grounded && field('seed', trans.__('Seed'))}
        {!grounded &&
          field('stop', trans.__('Stop sequences'), {
            lines: 2,
            placeholder: trans.__('one on each line')
          })}
      </div>
    </details>
  );
}

interface IFieldProps {
  readonly label: string;
  readonly value: string;
  readonly error?: string;
  readonly placeholder?: string;
  /** More than one makes it a text area. */
  readonly lines?: number;
  readonly onChange: (value: string) => void;
}

function Field(props: IFieldProps): JSX.Element {
  const { label, value, error, placeholder, lines, onChange } = props;
  const id = React.useId();
  const shared = {
    id,
    value,
    placeholder,
    className: 'jp-mod-styled',
    'aria-invalid': error !== undefined,
    'aria-describedby': error ? `${id}-error` : undefined
  };
  return (
    <div className={`jp-PerijoveChat-field${lines ? ' jp-mod-wide' : ''}`}>
      <label htmlFor={id}>{label}</label>
      {lines ? (
        <textarea {...shared} rows={lines} onChange={event => onChange(event.target.value)} />
      ) : (
        <input
          {...shared}
          type="text"
          inputMode="decimal"
          onChange={event => onChange(event.target.value)}
        />
      )}
      {error && (
        <div id={`${id}-error`} className="jp-PerijoveChat-fieldError">
          {error}
        </div>
      )}
    </div>
  );
}
