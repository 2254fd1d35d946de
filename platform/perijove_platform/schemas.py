"""Base classes of everything on the wire."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512


class Request(BaseModel):
    """A request's body: an unknown field is refused by name instead of dropped."""

    model_config = ConfigDict(extra="forbid")


class Response(BaseModel):
    """A response's body."""

    model_config = ConfigDict(extra="forbid")


class Deleted(Response):
    """What OpenAI answers to a DELETE."""

    id: str
    object: str
    deleted: bool = True


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
