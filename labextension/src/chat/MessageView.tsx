import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Markdown } from './Markdown';
import { Sources } from './Sources';
import { IAnswerStats, IMessage, tokensPerSecond } from './transcript';

/** What can be done with a message. */
export interface IMessageActions {
  readonly copy: (text: string) => void;
  readonly insert: (text: string) => void;
  readonly regenerate: (id: number) => void;
  readonly edit: (id: number, text: string) => void;
}

interface IMessageProps {
  readonly message: IMessage;
  readonly actions: IMessageActions;
  readonly rendermime: IRenderMimeRegistry;
  readonly trans: TranslationBundle;
  /** An answer is under way, so nothing may be asked again now. */
  readonly busy: boolean;
  /** What the wait for the first word is due to. */
  readonly waitingFor: string;
}

/** One turn of the conversation. */
export const MessageView = React.memo(function MessageView(props: IMessageProps): JSX.Element {
  const { message, trans } = props;
  const mine = message.role === 'user';
  return (
    <article
      className={`jp-PerijoveChat-message jp-mod-${message.role} jp-mod-${message.state}`}
      aria-label={mine ? trans.__('You') : (message.model ?? trans.__('Model'))}
      aria-busy={message.state === 'waiting' || message.state === 'streaming'}
    >
      <header>{mine ? trans.__('You') : message.model}</header>
      {mine ? <Question {...props} /> : <Answer {...props} />}
    </article>
  );
});

function Question(props: IMessageProps): JSX.Element {
  const { message, actions, trans, busy } = props;
  const [draft, setDraft] = React.useState<string | null>(null);
  if (draft === null) {
    return (
      <>
        <div className="jp-PerijoveChat-question">{message.content}</div>
        <footer>
          <Action label={trans.__('Edit')} disabled={busy} run={() => setDraft(message.content)} />
          <Action label={trans.__('Copy')} run={() => actions.copy(message.content)} />
        </footer>
      </>
    );
  }
  const save = () => {
    setDraft(null);
    actions.edit(message.id, draft);
  };
  return (
    <>
      <textarea
        className="jp-mod-styled"
        autoFocus
        aria-label={trans.__('Edit the question')}
        rows={Math.min(8, draft.split('\n').length + 1)}
        value={draft}
        onChange={event => setDraft(event.target.value)}
        onKeyDown={event => {
          if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault();
            save();
          } else if (event.key === 'Escape') {
            event.stopPropagation();
            setDraft(null);
          }
        }}
      />
      <footer>
        <Action label={trans.__('Ask again')} disabled={busy || draft.trim() === ''} run={save} />
        <Action label={trans.__('Cancel')} run={() => setDraft(null)} />
      </footer>
    </>
  );
}

function Answer(props: IMessageProps): JSX.Element {
  const { message, actions, rendermime, trans, busy, waitingFor } = props;
  const under = message.state === 'waiting' || message.state === 'streaming';
  return (
    <>
      {message.state === 'waiting' && (
        <div className="jp-PerijoveChat-waiting" role="status">
          <span className="jp-PerijoveChat-pulse" aria-hidden="true" />
          {waitingFor}
        </div>
      )}
      {message.content !== '' && <Markdown source={message.content} rendermime={rendermime} />}
      {message.state === 'failed' && (
        <div className="jp-PerijoveChat-error" role="alert">
          {message.error || trans.__('The answer ended with an error.')}
        </div>
      )}
      {message.state === 'stopped' && (
        <div className="jp-PerijoveChat-note">{trans.__('Stopped.')}</div>
      )}
      {message.cutShort && (
        <div className="jp-PerijoveChat-note">
          {trans.__('Cut short by the token limit. Raise "Max tokens" for a longer answer.')}
        </div>
      )}
      {message.sources && <Sources sources={message.sources} trans={trans} />}
      {!under && (
        <footer>
          {message.content !== '' && (
            <>
              <Action label={trans.__('Copy')} run={() => actions.copy(message.content)} />
              <Action
                label={trans.__('Insert into notebook')}
                run={() => actions.insert(message.content)}
              />
            </>
          )}
          <Action
            label={message.state === 'failed' ? trans.__('Try again') : trans.__('Regenerate')}
            disabled={busy}
            run={() => actions.regenerate(message.id)}
          />
          {message.stats && <Stats stats={message.stats} trans={trans} />}
        </footer>
      )}
    </>
  );
}

function Stats(props: { stats: IAnswerStats; trans: TranslationBundle }): JSX.Element {
  const { stats, trans } = props;
  const speed = tokensPerSecond(stats);
  const parts: string[] = [];
  if (stats.promptTokens !== null && stats.completionTokens !== null) {
    parts.push(trans.__('%1 + %2 tokens', stats.promptTokens, stats.completionTokens));
  }
  if (stats.firstTokenMs !== null) {
    parts.push(trans.__('first after %1 s', (stats.firstTokenMs / 1000).toFixed(2)));
  }
  parts.push(trans.__('%1 s in all', (stats.totalMs / 1000).toFixed(2)));
  if (speed !== null) {
    parts.push(trans.__('%1 tokens/s', speed.toFixed(1)));
  }
  return <span className="jp-PerijoveChat-stats">{parts.join(' · ')}</span>;
}

function Action(props: { label: string; run: () => void; disabled?: boolean }): JSX.Element {
  return (
    <button
      type="button"
      className="jp-PerijoveChat-action"
      disabled={props.disabled}
      onClick={props.run}
    >
      {props.label}
    </button>
  );
}
