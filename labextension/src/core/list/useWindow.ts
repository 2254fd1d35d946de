import * as React from 'react';

/** Rows kept above and below what is seen. */
const MARGIN = 10;

/** Which rows are near enough to be seen, `first` to `last` exclusive; near the end it asks for more. */
export function useWindow(
  scroller: React.RefObject<HTMLDivElement>,
  count: number,
  rowHeight: number,
  onNearEnd: () => void
): { first: number; last: number } {
  const [view, setView] = React.useState({ top: 0, height: 600 });
  const nearEnd = React.useRef(onNearEnd);
  nearEnd.current = onNearEnd;

  React.useEffect(() => {
    const node = scroller.current;
    if (!node) {
      return;
    }
    const measure = (): void => {
      setView(old =>
        old.top === node.scrollTop && old.height === node.clientHeight
          ? old
          : { top: node.scrollTop, height: node.clientHeight }
      );
      const left = node.scrollHeight - node.scrollTop - node.clientHeight;
      if (node.scrollTop > 0 && left < MARGIN * rowHeight) {
        nearEnd.current();
      }
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(node);
    node.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      node.removeEventListener('scroll', measure);
    };
  }, [scroller, rowHeight]);

  return {
    first: Math.max(0, Math.floor(view.top / rowHeight) - MARGIN),
    last: Math.min(count, Math.ceil((view.top + view.height) / rowHeight) + MARGIN)
  };
}
