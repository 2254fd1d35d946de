import { ILabShell, ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { LabIcon } from '@jupyterlab/ui-components';
import { Token } from '@lumino/coreutils';
import { DisposableDelegate, IDisposable } from '@lumino/disposable';
import { PanelLayout, Widget } from '@lumino/widgets';

import { errorText } from '../api';
import { OPEN_DETAIL } from './commandIds';

/** How the objects of one kind are shown in a tab. */
export interface IDetailKind {
  /** `model`, `file`, `job`, `vector-store`, `chat`. */
  readonly kind: string;
  readonly icon: LabIcon;
  /** What the tab is called until the content has set its own `title.label`. */
  readonly label: (id: string) => string;
  /** The content; it loads its object itself and says what went wrong. */
  readonly create: (id: string) => Promise<Widget>;
}

/** Opens objects as tabs of the main area, one per object, restored after a reload. */
export interface IDetailRegistry {
  add(kind: IDetailKind): IDisposable;
  open(kind: string, id: string): Promise<void>;
  /** Close the tab of an object that is gone. */
  close(kind: string, id: string): void;
}

export const IDetailRegistry = new Token<IDetailRegistry>(
  '@perijove/labextension:IDetailRegistry',
  'Opens objects of the platform as tabs.'
);

const CLASS = 'jp-PerijoveDetail';

export class DetailRegistry implements IDetailRegistry {
  readonly #shell: JupyterFrontEnd.IShell | ILabShell;

  constructor(shell: JupyterFrontEnd.IShell | ILabShell) {
    this.#shell = shell;
  }

  add(kind: IDetailKind): IDisposable {
    this.#kinds.set(kind.kind, kind);
    return new DisposableDelegate(() => void this.#kinds.delete(kind.kind));
  }

  async open(kind: string, id: string): Promise<void> {
    const known = this.#tracker.find(widget => keyOf(widget) === key(kind, id));
    const widget = known ?? this.#create(kind, id);
    if (!widget) {
      return;
    }
    if (!widget.isAttached) {
      this.#shell.add(widget, 'main', { type: 'Perijove' });
    }
    this.#shell.activateById(widget.id);
    if (!known) {
      await this.#tracker.add(widget);
    }
  }

  close(kind: string, id: string): void {
    this.#tracker.find(widget => keyOf(widget) === key(kind, id))?.dispose();
  }

  restore(restorer: ILayoutRestorer): void {
    void restorer.restore(this.#tracker, {
      command: OPEN_DETAIL,
      args: widget => ({ kind: widget.node.dataset.kind ?? '', id: widget.node.dataset.id ?? '' }),
      name: keyOf
    });
  }

  #create(kind: string, id: string): MainAreaWidget | null {
    const known = this.#kinds.get(kind);
    if (!known) {
      return null;
    }
    const content = new Widget();
    const widget = new MainAreaWidget({ content, reveal: Promise.resolve() });
    widget.id = `perijove-${key(kind, id)}`;
    widget.node.dataset.kind = kind;
    widget.node.dataset.id = id;
    widget.addClass(CLASS);
    widget.toolbar.hide();
    content.title.label = known.label(id);
    content.title.icon = known.icon;
    content.title.closable = true;
    known.create(id).then(
      inner => mount(content, inner),
      error => mount(content, failure(error))
    );
    return widget;
  }

  readonly #kinds = new Map<string, IDetailKind>();
  readonly #tracker = new WidgetTracker<MainAreaWidget>({ namespace: 'perijove-detail' });
}

/** Put what was created into the tab, and let it name the tab. */
function mount(outer: Widget, inner: Widget): void {
  if (outer.isDisposed) {
    inner.dispose();
    return;
  }
  const name = (): void => {
    outer.title.label = inner.title.label || outer.title.label;
    outer.title.caption = inner.title.caption || outer.title.label;
  };
  name();
  inner.title.changed.connect(name, outer);
  outer.disposed.connect(() => inner.dispose(), inner);
  const layout = new PanelLayout();
  layout.addWidget(inner);
  outer.layout = layout;
}

/** What a tab shows when its view could not be loaded, e.g. because another version has been installed meanwhile. */
function failure(error: unknown): Widget {
  const widget = new Widget();
  widget.addClass('jp-PerijoveMessage');
  widget.addClass('jp-mod-error');
  widget.node.textContent = errorText(error);
  return widget;
}

function key(kind: string, id: string): string {
  return `${kind}:${id}`;
}

function keyOf(widget: Widget): string {
  return key(widget.node.dataset.kind ?? '', widget.node.dataset.id ?? '');
}
