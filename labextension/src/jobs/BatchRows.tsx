import { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IFile } from '../api';
import { Button } from '../core/Button';
import { IBatchForm, IInput, IVariable, MAX_INPUTS, MAX_VARIABLES, pathFor } from './batchForm';
import { UploadField, withCurrent } from './fields';
import { IFormState } from './useJobForm';

interface IRowsProps {
  readonly form: IFormState<IBatchForm>;
  readonly trans: TranslationBundle;
}

/** The command's environment, a row for each variable. */
export function Variables({ form, trans }: IRowsProps): JSX.Element {
  const { variables } = form.values;
  const set = (rows: readonly IVariable[]): void => form.set('variables', rows);
  return (
    <Rows
      legend={trans.__('Environment')}
      hint={trans.__('Values are kept secret, and nobody can read them again.')}
      rows={variables}
      error={form.errorOf('variables')}
      addLabel={trans.__('Add a variable')}
      onAdd={
        variables.length < MAX_VARIABLES ? () => set([...variables, { name: '', value: '' }]) : null
      }
      onRemove={row => set(removed(variables, row))}
      trans={trans}
    >
      {(variable, row) => (
        <>
          <Cell
            form={form}
            field={`variables.${row}.name`}
            label={trans.__('Name of variable %1', row + 1)}
            placeholder={trans.__('Name')}
            value={variable.name}
            onChange={name => set(replaced(variables, row, { ...variable, name }))}
          />
          <Cell
            form={form}
            field={`variables.${row}.value`}
            label={trans.__('Value of variable %1', row + 1)}
            placeholder={trans.__('Value')}
            value={variable.value ?? ''}
            onChange={value => set(replaced(variables, row, { ...variable, value }))}
          />
        </>
      )}
    </Rows>
  );
}

/** The files that the command finds below its work folder. */
export function Inputs(
  props: IRowsProps & {
    readonly files: readonly IFile[];
    readonly upload: (file: File) => Promise<string>;
  }
): JSX.Element {
  const { form, files, upload, trans } = props;
  const { inputs } = form.values;
  const set = (rows: readonly IInput[]): void => form.set('inputs', rows);
  const options = files.map(file => ({ id: file.id, label: file.filename }));
  const choose = (row: number, fileId: string): void => {
    // A path that a person wrote stays.
    const path =
      inputs[row].path || pathFor(files.find(file => file.id === fileId)?.filename ?? '');
    set(replaced(inputs, row, { fileId, path }));
  };
  return (
    <>
      <Rows
        legend={trans.__('Files')}
        hint={trans.__('The command finds them in its work folder.')}
        rows={inputs}
        error={form.errorOf('inputs')}
        addLabel={trans.__('Add a file')}
        onAdd={inputs.length < MAX_INPUTS ? () => set([...inputs, { fileId: '', path: '' }]) : null}
        onRemove={row => set(removed(inputs, row))}
        trans={trans}
      >
        {(input, row) => (
          <>
            <FileCell
              form={form}
              field={`inputs.${row}.fileId`}
              label={trans.__('File %1', row + 1)}
              empty={trans.__('Choose a file')}
              options={withCurrent(options, input.fileId)}
              value={input.fileId}
              onChange={fileId => choose(row, fileId)}
            />
            <Cell
              form={form}
              field={`inputs.${row}.path`}
              label={trans.__('Path of file %1', row + 1)}
              placeholder={trans.__('Path')}
              value={input.path}
              onChange={path => set(replaced(inputs, row, { ...input, path }))}
            />
          </>
        )}
      </Rows>
      {inputs.length < MAX_INPUTS && (
        <UploadField
          label={trans.__('Upload a file…')}
          upload={upload}
          onUploaded={(fileId, file) => set([...inputs, { fileId, path: pathFor(file.name) }])}
          trans={trans}
        />
      )}
    </>
  );
}

/** Rows that are added and removed, as one group of the form. */
function Rows<T>(props: {
  readonly legend: string;
  readonly hint: string;
  readonly rows: readonly T[];
  readonly error: string | undefined;
  readonly addLabel: string;
  /** Null when there is room for no more. */
  readonly onAdd: (() => void) | null;
  readonly onRemove: (row: number) => void;
  readonly children: (item: T, row: number) => React.ReactNode;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { legend, hint, rows, error, addLabel, onAdd, onRemove, children, trans } = props;
  return (
    <fieldset className="jp-PerijoveEdit-rows">
      <legend>{legend}</legend>
      <div className="jp-PerijoveEdit-hint">{hint}</div>
      {error && <div className="jp-PerijoveEdit-error">{error}</div>}
      {rows.map((item, row) => (
        <div key={row} className="jp-PerijoveEdit-row">
          {children(item, row)}
          <button
            type="button"
            className="jp-PerijoveIconButton"
            title={trans.__('Remove row %1', row + 1)}
            aria-label={trans.__('%1: remove row %2', legend, row + 1)}
            onClick={() => onRemove(row)}
          >
            <closeIcon.react tag="span" />
          </button>
        </div>
      ))}
      {onAdd && <Button onClick={onAdd}>{addLabel}</Button>}
    </fieldset>
  );
}

interface ICellProps {
  readonly form: IFormState<IBatchForm>;
  readonly field: string;
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** A control of a row, with what is wrong with it. */
function ControlCell(
  props: ICellProps & {
    readonly children: (control: React.AriaAttributes & { className: string }) => React.ReactNode;
  }
): JSX.Element {
  const id = React.useId();
  const error = props.form.errorOf(props.field);
  return (
    <div className={`jp-PerijoveEdit-field${error ? ' jp-mod-invalid' : ''}`}>
      {props.children({
        'aria-label': props.label,
        'aria-invalid': error !== undefined,
        'aria-describedby': error && id,
        className: 'jp-mod-styled'
      })}
      {error && (
        <div id={id} className="jp-PerijoveEdit-error">
          {error}
        </div>
      )}
    </div>
  );
}

function Cell(props: ICellProps & { readonly placeholder: string }): JSX.Element {
  return (
    <ControlCell {...props}>
      {control => (
        <input
          {...control}
          type="text"
          spellCheck={false}
          autoComplete="off"
          placeholder={props.placeholder}
          value={props.value}
          onChange={event => props.onChange(event.target.value)}
          onBlur={() => props.form.touch(props.field)}
        />
      )}
    </ControlCell>
  );
}

function FileCell(
  props: ICellProps & {
    readonly empty: string;
    readonly options: readonly { readonly id: string; readonly label: string }[];
  }
): JSX.Element {
  return (
    <ControlCell {...props}>
      {control => (
        <select
          {...control}
          value={props.value}
          onChange={event => props.onChange(event.target.value)}
          onBlur={() => props.form.touch(props.field)}
        >
          <option value="">{props.empty}</option>
          {props.options.map(option => (
            <option key={option.id} value={option.id}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </ControlCell>
  );
}

function replaced<T>(rows: readonly T[], at: number, item: T): readonly T[] {
  return rows.map((row, index) => (index === at ? item : row));
}

function removed<T>(rows: readonly T[], at: number): readonly T[] {
  return rows.filter((_, index) => index !== at);
}
