"""Base classes of everything on the wire."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512
MAX_DEPTH = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


class Request(BaseModel):
    """A request's body: an unknown field is refused by name instead of dropped."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_representable(cls, body: Any) -> Any:
        check_representable(body)
        return body


class Response(BaseModel):
    """A response's body."""

    model_config = ConfigDict(extra="forbid")


class Deleted(Response):
    """What OpenAI answers to a DELETE."""

    id: str
    object: str
    deleted: bool = True


def check_representable(body: Any) -> None:
    """Refuse what JSON can say but neither UTF-8 nor our parsers can carry.

    Raises:
        ValueError: a lone surrogate in a text or a name, or nesting beyond `MAX_DEPTH`.
    """
    pending: list[tuple[Any, int]] = [(body, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"the body is nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, str):
            if _SURROGATE.search(value):
                raise ValueError("a text holds half of a surrogate pair, which is no character; send it as UTF-8")
        elif isinstance(value, dict):
            pending += [(key, depth) for key in value] + [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            pending += [(item, depth + 1) for item in value]


def _check_metadata(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA_PAIRS:
        raise ValueError(f"metadata takes at most {MAX_METADATA_PAIRS} pairs, this has {len(metadata)}")
    for key, value in metadata.items():
        if not 0 < len(key) <= MAX_METADATA_KEY:
            raise ValueError(f"metadata keys have 1 to {MAX_METADATA_KEY} characters, '{key[:80]}' has {len(key)}")
        if len(value) > MAX_METADATA_VALUE:
            raise ValueError(f"the value of metadata key '{key}' has over {MAX_METADATA_VALUE} characters")
    return metadata


Metadata = Annotated[dict[str, str], AfterValidator(_check_metadata)]
"""Up to 16 pairs of strings, limits as in OpenAI's API reference."""
