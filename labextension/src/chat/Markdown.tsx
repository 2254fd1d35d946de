import { IRenderMimeRegistry, MimeModel } from '@jupyterlab/rendermime';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

const MIME = 'text/markdown';

/** A growing answer is rendered again at most this often, in milliseconds. */
const INTERVAL = 80;

/**
 * Markdown as the notebook renders it: the same parser, highlighter and
 * typesetter, and the same sanitiser, since a model's words are not trusted.
 */
export function Markdown(props: { source: string; rendermime: IRenderMimeRegistry }): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  const [live, setLive] = React.useState<LiveMarkdown | null>(null);
  // A layout effect, because the renderer has to go while its host is still in the document.
  React.useLayoutEffect(() => {
    const made = new LiveMarkdown(props.rendermime.createRenderer(MIME), host.current!);
    setLive(made);
    return () => made.dispose();
  }, [props.rendermime]);
  React.useEffect(() => live?.show(props.source), [live, props.source]);
  return <div className="jp-PerijoveChat-markdown" ref={host} />;
}

/** Renders the newest text; what comes while it is busy is shown afterwards, once. */
class LiveMarkdown {
  constructor(
    private readonly _renderer: ReturnType<IRenderMimeRegistry['createRenderer']>,
    host: HTMLElement
  ) {
    if (host.isConnected) {
      Widget.attach(_renderer, host);
    } else {
      host.appendChild(_renderer.node);
    }
  }

  show(source: string): void {
    this._wanted = source;
    if (!this._running) {
      void this._run();
    }
  }

  dispose(): void {
    this._disposed = true;
    this._renderer.dispose();
  }

  private async _run(): Promise<void> {
    this._running = true;
    while (!this._disposed && this._shown !== this._wanted) {
      const source = this._wanted;
      const model = new MimeModel({ data: { [MIME]: source }, trusted: false });
      await this._renderer.renderModel(model).catch(() => {
        this._renderer.node.textContent = source;
      });
      this._shown = source;
      await new Promise(resolve => setTimeout(resolve, INTERVAL));
    }
    this._running = false;
  }

  private _disposed = false;
  private _running = false;
  private _shown = '';
  private _wanted = '';
}
