import * as React from 'react';

import { ApiError, errorText } from '../api';

/** What is wrong, by field. */
export type FormErrors = Readonly<Partial<Record<string, string>>>;

/** An error of the server, and the fields that it is about. */
interface IRefusal {
  readonly message: string;
  readonly fields: FormErrors;
}

const ACCEPTED: IRefusal = { message: '', fields: {} };

/** A form while it is filled in. */
export interface IFormState<F> {
  readonly values: F;
  readonly busy: boolean;
  /** What the server finds wrong with no field in particular; empty when there is nothing. */
  readonly refused: string;
  readonly root: React.RefObject<HTMLFormElement>;
  /** What is wrong with a field, as far as a person has come to it. */
  errorOf(field: string): string | undefined;
  set<K extends keyof F & string>(field: K, value: F[K]): void;
  /** A person has left the field. */
  touch(field: string): void;
  onSubmit(event: React.FormEvent): void;
}

/** What a form is about. */
interface IFormRules<F> {
  readonly initial: F;
  readonly validate: (values: F) => FormErrors;
  /** Sends it; what it throws is shown beside the field that `ApiError.param` names, else above the form. */
  readonly submit: (values: F) => Promise<void>;
  /** The field that a parameter of the request belongs to, or null. */
  readonly fieldOf: (param: string | null, values: F) => string | null;
}

/** Hold a form: its values, what is wrong with them, and its way to the server. */
export function useJobForm<F>(rules: IFormRules<F>): IFormState<F> {
  const [values, setValues] = React.useState(rules.initial);
  const [touched, setTouched] = React.useState<ReadonlySet<string>>(new Set());
  const [tried, setTried] = React.useState(false);
  const [refusal, setRefusal] = React.useState(ACCEPTED);
  const [busy, setBusy] = React.useState(false);
  const root = React.useRef<HTMLFormElement>(null);
  const afterPress = useAfterPress();
  const mine = rules.validate(values);

  const submit = async (): Promise<void> => {
    setTried(true);
    if (Object.keys(mine).length > 0) {
      focusFirstError(root);
      return;
    }
    setBusy(true);
    try {
      await rules.submit(values);
      setRefusal(ACCEPTED);
    } catch (error) {
      const field = error instanceof ApiError ? rules.fieldOf(error.param, values) : null;
      const message = errorText(error);
      setRefusal(
        field === null ? { message, fields: {} } : { message: '', fields: { [field]: message } }
      );
      focusFirstError(root);
    }
    setBusy(false);
  };
  return {
    values,
    busy,
    refused: refusal.message,
    root,
    errorOf: field =>
      (tried || touched.has(field) ? mine[field] : undefined) ?? refusal.fields[field],
    set: (field, value) => {
      setValues(before => ({ ...before, [field]: value }));
      setRefusal(before => ({ ...before, fields: without(before.fields, field) }));
    },
    touch: field => afterPress(() => setTouched(before => new Set(before).add(field))),
    onSubmit: event => {
      event.preventDefault();
      void submit();
    }
  };
}

/**
 * What runs something once no button of the mouse is down.
 *
 * A press takes the focus from a field. Were its error shown before the release, what was pressed would move away
 * from under the pointer, and nothing would be clicked.
 */
function useAfterPress(): (act: () => void) => void {
  const pressed = React.useRef(false);
  const waiting = React.useRef<(() => void)[]>([]);
  React.useEffect(() => {
    const down = (): void => {
      pressed.current = true;
    };
    const up = (): void => {
      pressed.current = false;
      const due = waiting.current.splice(0);
      // The click comes after the release.
      setTimeout(() => due.forEach(act => act()));
    };
    document.addEventListener('pointerdown', down, true);
    document.addEventListener('pointerup', up, true);
    document.addEventListener('pointercancel', up, true);
    return () => {
      document.removeEventListener('pointerdown', down, true);
      document.removeEventListener('pointerup', up, true);
      document.removeEventListener('pointercancel', up, true);
    };
  }, []);
  return act => (pressed.current ? void waiting.current.push(act) : act());
}

/** The errors without those of a field and of its rows. */
function without(errors: FormErrors, field: string): FormErrors {
  const left = Object.entries(errors).filter(([name]) => name.split('.')[0] !== field);
  return Object.fromEntries(left);
}

function focusFirstError(root: React.RefObject<HTMLFormElement>): void {
  // The invalid fields are marked only after the next rendering.
  setTimeout(() => {
    const invalid = root.current?.querySelector<HTMLElement>('[aria-invalid="true"]');
    invalid?.closest('details')?.setAttribute('open', '');
    invalid?.focus();
  });
}
