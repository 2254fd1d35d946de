"""Models on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from perijove_platform.pagination import ListParams
from perijove_platform.schemas import Request, Response

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
ALIAS_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]*$"
REPO_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"

ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=NAME_PATTERN)]
Kind = Literal["chat", "embedding"]
State = Literal["pulling", "available", "loading", "loaded", "failed"]


class HubSource(Request):
    """A repository of a Hugging Face hub; without `file`, a quantization is chosen."""

    type: Literal["hub"]
    repo: Annotated[str, Field(max_length=200, pattern=REPO_PATTERN)]
    file: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    revision: Annotated[str, Field(min_length=1, max_length=200)] = "main"


class PathSource(Request):
    """A GGUF file, or a folder that holds one, on the platform's machine."""

    type: Literal["path"]
    path: Annotated[str, Field(min_length=1, max_length=4096)]


class ModelCreate(Request):
    source: Annotated[HubSource | PathSource, Field(discriminator="type")]
    id: ModelName | None = None


class AliasCreate(Request):
    alias: Annotated[str, Field(min_length=1, max_length=200, pattern=ALIAS_PATTERN)]


class ModelListParams(ListParams):
    """OpenAI's list of models has no pages, so a page of ours holds all that a project is likely to have."""

    limit: Annotated[int, Query(ge=1, le=1000)] = 1000


class Progress(Response):
    """How much of a pull is done."""

    bytes: int
    total_bytes: int | None


class Source(Response):
    """Where a model came from; the fields that do not apply are null."""

    type: Literal["hub", "path", "package", "fine_tune"]
    repo: str | None = None
    file: str | None = None
    revision: str | None = None
    path: str | None = None
    package: str | None = None
    job: str | None = None


class Model(Response):
    """OpenAI's model object, and what a person wants to know of one.

    `parameters` counts weights, `context_length` tokens; `base_model` is set for a LoRA adapter.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    kind: Kind
    state: State
    state_reason: str | None = None
    progress: Progress | None = None
    size_bytes: int | None = None
    base_model: str | None = None
    aliases: list[str] = Field(default_factory=list)
    source: Source
    context_length: int | None = None
    parameters: int | None = None
