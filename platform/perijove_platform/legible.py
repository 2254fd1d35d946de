"""Words of others, which may hold anything, as text that every database takes, that no terminal obeys and a person can
read."""

import re
from collections.abc import Mapping
from typing import Any

# All but tabs and line feeds, and halves of surrogate pairs, which are no text.
_ILLEGIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def legible(text: str) -> str:
    """The text without control characters; tabs and line feeds stay."""
    return _ILLEGIBLE.sub("", text)


def legible_json(value: Any) -> Any:
    """A value as of JSON, each text in it legible."""
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, Mapping):
        return {legible(str(name)): legible_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [legible_json(item) for item in value]
    return value
