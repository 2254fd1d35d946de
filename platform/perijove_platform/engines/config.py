"""What every engine program is told (on standard input) and what it reports (on standard output)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The configuration of one engine process, one line of JSON on its standard input.

    Attributes:
        model_id: for messages; clients never see it.
        model_path: the weights.
        api_key: the secret that every request to the engine must carry as a bearer token.
        adapters: paths of LoRA adapters; the position in the list is the engine's number of it.
        embedding: serve embeddings instead of text.
        context_length: tokens that one request can use at most; ``None`` takes the model's own, within
            `max_context_length`.
        max_context_length: bound for a model's own length, in tokens.
        parallel: requests that are worked on at the same time; more wait in the engine.
        threads: for computing; 0 takes the number of physical cores.
    """

    model_id: str
    model_path: str
    api_key: str
    adapters: list[str] = field(default_factory=list)
    embedding: bool = False
    context_length: int | None = None
    max_context_length: int = 8192
    parallel: int = 4
    threads: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**value)


@dataclass(frozen=True, kw_only=True)
class EngineReady:
    """The report ``{"event": "ready", …}`` of an engine that answers.

    Attributes:
        base_url: where, without ``/v1``.
        context_length: tokens that one request can use at most.
    """

    base_url: str
    context_length: int

    def to_json(self) -> dict[str, Any]:
        return {"event": "ready", **asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(base_url=value["base_url"], context_length=value["context_length"])


def failed_report(message: str) -> dict[str, Any]:
    """The report of an engine that cannot start; `message` is for a person."""
    return {"event": "failed", "message": message}
