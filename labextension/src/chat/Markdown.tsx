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
  readonly #renderer: ReturnType<IRenderMimeRegistry['createRenderer']>;

  constructor(renderer: ReturnType<IRenderMimeRegistry['createRenderer']>, host: HTMLElement) {
    this.#renderer = renderer;
    if (host.isConnected) {
      Widget.attach(renderer, host);
    } else {
      host.appendChild(renderer.node);
    }
  }

  show(source: string): void {
    this.#wanted = source;
    if (!this.#running) {
      void this.#run();
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#renderer.dispose();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (!this.#disposed && this.#shown !== this.#wanted) {
      const source = this.#wanted;
      const model = new MimeModel({ data: { [MIME]: source }, trusted: false });
      await this.#renderer.renderModel(model).catch(() => {
        this.#renderer.node.textContent = source;
      });
      this.#shown = source;
      await new Promise(resolve => setTimeout(resolve, INTERVAL));
    }
    this.#running = false;
  }

  #disposed = false;
  #running = false;
  #shown = '';
  #wanted = '';
}
