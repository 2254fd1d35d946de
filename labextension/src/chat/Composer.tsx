import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button } from '../core/Button';
interface IComposerProps {
  readonly busy: boolean;
  /** Why nothing can be asked now, or null. */
  readonly blocked: string | null;
  readonly onSend: (text: string) => void;
  readonly onStop: () => void;
  readonly trans: TranslationBundle;
}

/** Where the question is written. Enter sends, Shift+Enter breaks the line, Esc stops. */
export function Composer(props: IComposerProps): JSX.Element {
  const { busy, blocked, onSend, onStop, trans } = props;
  const [text, setText] = React.useState('');
  const field = React.useRef<HTMLTextAreaElement>(null);
  const hint = React.useId();

  React.useLayoutEffect(() => {
    const element = field.current;
    if (element) {
      element.style.height = 'auto';
      element.style.height = `${element.scrollHeight + 2}px`;
    }
  }, [text]);

  const ready = !busy && blocked === null && text.trim() !== '';
  const send = () => {
    if (ready) {
      onSend(text);
      setText('');
    }
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    // While an input method composes, Enter only confirms its choice.
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      send();
    }
  };

  return (
    <form
      className="jp-PerijoveChat-composer"
      onSubmit={event => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={field}
        className="jp-mod-styled"
        rows={2}
        value={text}
        aria-label={trans.__('Your question')}
        aria-describedby={hint}
        placeholder={trans.__('Ask something')}
        onChange={event => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="jp-PerijoveChat-send">
        {busy ? (
          <Button
            key="stop"
            mod="warn"
            onClick={() => {
              onStop();
              field.current?.focus();
            }}
          >
            {trans.__('Stop')}
          </Button>
        ) : (
          <Button key="send" type="submit" mod="accept" disabled={!ready}>
            {trans.__('Send')}
          </Button>
        )}
        <span id={hint} className="jp-PerijoveChat-hint">
          {blocked ?? trans.__('Enter sends, Shift+Enter breaks the line, Esc stops.')}
        </span>
      </div>
    </form>
  );
}
