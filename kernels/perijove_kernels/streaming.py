"""An answer that grows in the cell."""

import time
from collections.abc import Sequence
from typing import Any

from IPython.display import Markdown, display
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

# A front end renders the whole Markdown at each update, so they are spaced out.
REDRAW_SECONDS = 0.08


def stream_markdown(
    client: OpenAI, *, model: str, messages: Sequence[ChatCompletionMessageParam], max_tokens: int, **options: Any
) -> str:
    """Stream an answer into one display that is updated by its id, and return it.

    An interrupt closes the stream, which stops the engine; what has arrived stays and is returned.
    """
    handle = display(Markdown("…"), display_id=True)
    assert handle is not None
    text = ""
    drawn = 0.0
    stopped = False
    try:
        with client.chat.completions.create(
            model=model, messages=messages, max_tokens=max_tokens, stream=True, **options
        ) as stream:
            for chunk in stream:
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
                if time.monotonic() - drawn >= REDRAW_SECONDS:
                    handle.update(Markdown(text or "…"))
                    drawn = time.monotonic()
    except KeyboardInterrupt:
        stopped = True
    handle.update(Markdown(text + ("\n\n*Stopped.*" if stopped else "")))
    return text
