import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button } from '../core/Button';
import { Composer } from './Composer';
import { IMessageActions, MessageView } from './MessageView';
import { ParametersForm } from './ParametersForm';
import { ChatSession } from './session';

/** A model that can be asked. */
export interface IModelChoice {
  readonly id: string;
  /** As the platform says it: available, loading, loaded, … */
  readonly state: string;
}

/** A vector store that can ground the answers. */
export interface IStoreChoice {
  readonly id: string;
  readonly name: string;
}

interface IChatViewProps {
  readonly session: ChatSession;
  readonly models: readonly IModelChoice[];
  readonly stores: readonly IStoreChoice[];
  readonly rendermime: IRenderMimeRegistry;
  readonly trans: TranslationBundle;
  readonly copy: (text: string) => void;
  readonly insert: (text: string) => void;
}

/** A conversation with a model of the platform. */
export function ChatView(props: IChatViewProps): JSX.Element {
  const { session, models, rendermime, trans, copy, insert } = props;
  useChanges(session);
  const state = models.find(model => model.id === session.model)?.state;
  const actions = React.useMemo<IMessageActions>(
    () => ({
      copy,
      insert,
      regenerate: id => void session.regenerate(id),
      edit: (id, text) => void session.edit(id, text)
    }),
    [session, copy, insert]
  );
  const waitingFor =
    state === 'loaded' || state === undefined
      ? trans.__('Waiting for the first word…')
      : trans.__('Loading %1. The question waits for it.', session.model);

  return (
    <div
      className="jp-PerijoveChat"
      onKeyDown={event => {
        if (event.key === 'Escape' && session.busy) {
          event.preventDefault();
          session.stop();
        }
      }}
    >
      <Settings {...props} />
      <Messages count={session.messages.length}>
        {session.messages.length === 0 && (
          <p className="jp-PerijoveChat-empty">
            {trans.__('Ask the model something. The conversation stays after a reload.')}
          </p>
        )}
        {session.messages.map(message => (
          <MessageView
            key={message.id}
            message={message}
            actions={actions}
            rendermime={rendermime}
            trans={trans}
            busy={session.busy}
            waitingFor={message.state === 'waiting' ? waitingFor : ''}
          />
        ))}
      </Messages>
      <Composer
        busy={session.busy}
        blocked={session.model === '' ? trans.__('Choose a model first.') : null}
        onSend={text => void session.send(text)}
        onStop={() => session.stop()}
        trans={trans}
      />
    </div>
  );
}

function Settings(props: IChatViewProps): JSX.Element {
  const { session, models, stores, trans } = props;
  const known = models.some(model => model.id === session.model);
  const store = session.vectorStoreIds[0] ?? '';
  return (
    <div className="jp-PerijoveChat-settings">
      <div className="jp-PerijoveChat-pickers">
        <label>
          {trans.__('Model')}
          <select
            className="jp-mod-styled"
            value={session.model}
            onChange={event => (session.model = event.target.value)}
          >
            {session.model === '' && <option value="">{trans.__('Choose a model')}</option>}
            {session.model !== '' && !known && (
              <option value={session.model}>
                {trans.__('%1 (not there any more)', session.model)}
              </option>
            )}
            {models.map(model => (
              <option key={model.id} value={model.id}>
                {model.id}
              </option>
            ))}
          </select>
        </label>
        <label>
          {trans.__('Answer from')}
          <select
            className="jp-mod-styled"
            value={store}
            onChange={event =>
              (session.vectorStoreIds = event.target.value === '' ? [] : [event.target.value])
            }
          >
            <option value="">{trans.__('The model alone')}</option>
            {store !== '' && !stores.some(one => one.id === store) && (
              <option value={store}>{store}</option>
            )}
            {stores.map(one => (
              <option key={one.id} value={one.id}>
                {one.name || one.id}
              </option>
            ))}
          </select>
        </label>
        <Button disabled={session.messages.length === 0} onClick={() => session.clear()}>
          {trans.__('Clear')}
        </Button>
      </div>
      <ParametersForm
        parameters={session.parameters}
        onChange={parameters => (session.parameters = parameters)}
        grounded={store !== ''}
        trans={trans}
      />
    </div>
  );
}

/** How near to its end, in pixels, a conversation counts as read to the end. */
const NEAR_END = 48;

/** The turns; follows the answer unless the person has scrolled up. */
function Messages(props: { count: number; children: React.ReactNode }): JSX.Element {
  const scroller = React.useRef<HTMLDivElement>(null);
  const content = React.useRef<HTMLDivElement>(null);
  const following = React.useRef(true);

  React.useLayoutEffect(() => {
    following.current = true;
  }, [props.count]);
  React.useEffect(() => {
    const element = scroller.current!;
    const follow = () => {
      if (following.current) {
        element.scrollTop = element.scrollHeight;
      }
    };
    const observer = new ResizeObserver(follow);
    observer.observe(content.current!);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return (
    <div
      ref={scroller}
      className="jp-PerijoveChat-messages"
      onScroll={event => {
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        following.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
      }}
    >
      <div ref={content} role="log" aria-live="polite" className="jp-PerijoveChat-log">
        {props.children}
      </div>
    </div>
  );
}

/**
 * Render again when the session changes. The words of an answer are taken once
 * for each frame; a setting at once, or its field would lose the caret.
 */
function useChanges(session: ChatSession): void {
  const [, setCount] = React.useState(0);
  React.useEffect(() => {
    let frame = 0;
    let messages = session.messages;
    const render = () => {
      frame = 0;
      setCount(count => count + 1);
    };
    const update = () => {
      if (session.messages === messages) {
        render();
      } else {
        messages = session.messages;
        // A hidden tab gets no frames; it catches up when it is shown.
        frame ||= requestAnimationFrame(render);
      }
    };
    session.changed.connect(update);
    render();
    return () => {
      session.changed.disconnect(update);
      cancelAnimationFrame(frame);
    };
  }, [session]);
}
