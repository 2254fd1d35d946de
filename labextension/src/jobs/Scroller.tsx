import * as React from 'react';

interface IScrollerProps extends React.HTMLAttributes<HTMLDivElement> {
  readonly element: React.RefObject<HTMLDivElement>;
  /** Whether the end stays in view. */
  readonly toEnd: boolean;
}

interface IPlace {
  readonly node: HTMLElement;
  readonly top: number;
}

/** Keeps what is in view where it is when lines come or go above it. */
export class Scroller extends React.Component<IScrollerProps> {
  override getSnapshotBeforeUpdate(): IPlace | null {
    const { scrollTop, children } = this.props.element.current!;
    const pieces = [...children].filter(child => child instanceof HTMLPreElement);
    // The first piece may change at its beginning.
    const node =
      pieces.slice(1).find(piece => piece.offsetTop + piece.offsetHeight > scrollTop) ?? pieces[0];
    return node ? { node, top: node.offsetTop } : null;
  }

  override componentDidMount(): void {
    this.#place(null);
  }

  override componentDidUpdate(_: IScrollerProps, __: unknown, place: IPlace | null): void {
    this.#place(place);
  }

  override render(): React.ReactNode {
    const { element, toEnd: _, ...attributes } = this.props;
    return <div ref={element} {...attributes} />;
  }

  #place(place: IPlace | null): void {
    const scroller = this.props.element.current!;
    if (this.props.toEnd) {
      scroller.scrollTop = scroller.scrollHeight;
    } else if (place?.node.isConnected) {
      scroller.scrollTop += place.node.offsetTop - place.top;
    }
  }
}
