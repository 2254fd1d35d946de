import { Dialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect, ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { ApiError, errorText } from '../api';
import { Button } from './Button';
import { attempt } from './notifications';

/** One field of a form. */
export interface IFormField {
  readonly name: string;
  readonly label: string;
  readonly help?: string;
  readonly placeholder?: string;
  readonly required?: boolean;
  /** What may be chosen; a text field without. */
  readonly options?: readonly { readonly value: string; readonly label: string }[];
  /** A button beside the field that asks for its value in a dialog of its own. */
  readonly picker?: IPicker;
}

export interface IPicker {
  readonly label: string;
  /** @returns the value, or null to leave it as it was */
  readonly pick: () => Promise<string | null>;
}

export type FormValues = Readonly<Record<string, string>>;

export interface IFormDialog {
  readonly title: string;
  readonly fields: readonly IFormField[];
  readonly values?: FormValues;
  readonly submitLabel: string;
  /** Sends the form; what it throws is shown beside the field that `ApiError.param` names, else above the form. */
  readonly submit: (values: FormValues) => Promise<void>;
  /** The field of the form that a field of the request (`source.repo`) belongs to, the last part unless told. */
  readonly fieldOf?: (param: string) => string;
}

/** Ask for values until they are accepted or the person gives up. @returns whether they were accepted */
export async function showForm(form: IFormDialog, trans: TranslationBundle): Promise<boolean> {
  let values: FormValues = form.values ?? {};
  let errors: FormValues = {};
  let focus = '[aria-invalid="true"], input, select';
  for (;;) {
    let picking: IFormField | null = null;
    const body = new FormBody(form.fields, values, errors, field => {
      picking = field;
      values = body.getValue();
      dialog.reject();
    });
    const dialog = new Dialog({
      title: form.title,
      body,
      focusNodeSelector: focus,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.okButton({ label: form.submitLabel })
      ]
    });
    const result = await dialog.launch();
    if (picking !== null) {
      // Lab shows one dialog at a time, so the form comes back after the picker.
      values = await picked(picking, values, trans);
      focus = `[name="${(picking as IFormField).name}"]`;
      continue;
    }
    if (!result.button.accept || !result.value) {
      return false;
    }
    values = result.value;
    errors = missing(form.fields, values, trans);
    if (Object.keys(errors).length > 0) {
      continue;
    }
    try {
      await form.submit(values);
      return true;
    } catch (error) {
      errors = { [place(form, error)]: errorText(error) };
    }
  }
}

/** The values with the one that a person has picked for a field. */
async function picked(
  field: IFormField,
  values: FormValues,
  trans: TranslationBundle
): Promise<FormValues> {
  let value: string | null = null;
  await attempt(
    trans.__('Nothing could be chosen.'),
    async () => {
      value = (await field.picker?.pick()) ?? null;
    },
    trans
  );
  return value === null ? values : { ...values, [field.name]: value };
}

/** The name under which an error that belongs to no field is kept. */
const WHOLE = '';

function place(form: IFormDialog, error: unknown): string {
  const param = error instanceof ApiError ? error.param : null;
  if (!param) {
    return WHOLE;
  }
  const name = form.fieldOf?.(param) ?? param.split('.').pop() ?? param;
  return form.fields.some(field => field.name === name) ? name : WHOLE;
}

function missing(
  fields: readonly IFormField[],
  values: FormValues,
  trans: TranslationBundle
): FormValues {
  const empty = fields.filter(field => field.required && !values[field.name]?.trim());
  return Object.fromEntries(empty.map(field => [field.name, trans.__('This is needed.')]));
}

/** The form inside the dialog. */
class FormBody extends ReactWidget implements Dialog.IBodyWidget<FormValues> {
  readonly #fields: readonly IFormField[];
  readonly #errors: FormValues;
  readonly #onPick: (field: IFormField) => void;

  constructor(
    fields: readonly IFormField[],
    values: FormValues,
    errors: FormValues,
    onPick: (field: IFormField) => void
  ) {
    super();
    this.#fields = fields;
    this.#errors = errors;
    this.#onPick = onPick;
    this.addClass('jp-PerijoveForm');
    for (const field of fields) {
      this.#values[field.name] = values[field.name] ?? field.options?.[0]?.value ?? '';
    }
  }

  getValue(): FormValues {
    return { ...this.#values };
  }

  protected override render(): React.ReactElement {
    return (
      <>
        {this.#errors[WHOLE] && (
          <p className="jp-PerijoveField-error" role="alert">
            {this.#errors[WHOLE]}
          </p>
        )}
        {this.#fields.map(field => (
          <Field
            key={field.name}
            field={field}
            value={this.#values[field.name]}
            error={this.#errors[field.name]}
            onChange={value => {
              this.#values[field.name] = value;
            }}
            onPick={() => this.#onPick(field)}
          />
        ))}
      </>
    );
  }

  readonly #values: Record<string, string> = {};
}

interface IFieldProps {
  readonly field: IFormField;
  readonly value: string;
  readonly error: string | undefined;
  readonly onChange: (value: string) => void;
  readonly onPick: () => void;
}

function Field(props: IFieldProps): React.ReactElement {
  const { field, error } = props;
  const id = React.useId();
  const shared = {
    id,
    name: field.name,
    className: 'jp-mod-styled',
    defaultValue: props.value,
    'aria-invalid': error !== undefined,
    'aria-describedby': `${id}-help`
  };
  return (
    <div className="jp-PerijoveField">
      <label htmlFor={id}>{field.label}</label>
      {field.options ? (
        <HTMLSelect {...shared} onChange={event => props.onChange(event.target.value)}>
          {field.options.map(option => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </HTMLSelect>
      ) : (
        <div className="jp-PerijoveField-entry">
          <input
            {...shared}
            type="text"
            placeholder={field.placeholder}
            spellCheck={false}
            autoComplete="off"
            onChange={event => props.onChange(event.target.value)}
          />
          {field.picker && (
            <Button
              onClick={props.onPick}
              // Dialogs of Lab keep the press of Enter from buttons in their body.
              onKeyUp={event => event.key === 'Enter' && props.onPick()}
            >
              {field.picker.label}
            </Button>
          )}
        </div>
      )}
      <div id={`${id}-help`}>
        {error && (
          <p className="jp-PerijoveField-error" role="alert">
            {error}
          </p>
        )}
        {field.help && <p className="jp-PerijoveField-help">{field.help}</p>}
      </div>
    </div>
  );
}
