"""A loss curve as SVG, drawn without a plotting library so that it costs a cell nothing."""

from collections.abc import Sequence
from math import isfinite

WIDTH = 480
HEIGHT = 160
MARGIN = 40
MAX_POINTS = 400


def loss_svg(points: Sequence[tuple[int, float]], total_steps: int | None) -> str:
    """`points` are (step, loss) in order; the step axis runs to `total_steps` so that the curve shows how far it is.

    Colours come from JupyterLab's theme variables, with fallbacks for other front ends.
    """
    shown = [(step, loss) for step, loss in _thinned(points) if isfinite(loss)]
    if not shown:
        return ""
    last_step = max(total_steps or 0, shown[-1][0], 1)
    low = min(loss for _, loss in shown)
    high = max(loss for _, loss in shown)
    span = (high - low) or 1.0

    def at(step: int, loss: float) -> str:
        x = MARGIN + (WIDTH - MARGIN - 8) * step / last_step
        y = 8 + (HEIGHT - MARGIN + 8) * (1 - (loss - low) / span)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(at(step, loss) for step, loss in shown)
    bottom = HEIGHT - 24
    font = "font-size='11' fill='var(--jp-ui-font-color2, #777)'"
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' role='img' aria-label='Training loss, now {shown[-1][1]:.3f}'>"
        f"<path d='M{MARGIN} 8V{bottom}H{WIDTH - 8}' fill='none' stroke='var(--jp-border-color1, #bbb)'/>"
        f"<text x='{MARGIN - 4}' y='16' text-anchor='end' {font}>{high:.2f}</text>"
        f"<text x='{MARGIN - 4}' y='{bottom}' text-anchor='end' {font}>{low:.2f}</text>"
        f"<text x='{MARGIN}' y='{HEIGHT - 8}' {font}>loss by step</text>"
        f"<text x='{WIDTH - 8}' y='{HEIGHT - 8}' text-anchor='end' {font}>{last_step}</text>"
        f"<polyline points='{line}' fill='none' stroke='var(--jp-brand-color1, #1976d2)' stroke-width='1.5'/></svg>"
    )


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """At most `MAX_POINTS`, evenly taken, the newest always among them."""
    if len(points) <= MAX_POINTS:
        return points
    stride = -(-len(points) // (MAX_POINTS - 1))
    return [*points[:-1:stride], points[-1]]
