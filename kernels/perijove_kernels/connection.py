"""The `openai` client, unmodified, pointed at the platform of this machine or of the environment."""

from functools import lru_cache
from typing import Any

from openai import AsyncOpenAI, OpenAI
from perijove_platform.discovery import Connection, connect

# The first request for a model waits until its engine has loaded it.
TIMEOUT_SECONDS = 600.0


def client(**options: Any) -> OpenAI:
    """An `openai.OpenAI` for the platform.

    Args:
        options: passed on to `openai.OpenAI`.

    Raises:
        perijove_platform.discovery.NotRunning: no platform is there; the message says what to do.
    """
    return OpenAI(**_options(connect(), options))


def async_client(**options: Any) -> AsyncOpenAI:
    """As `client`, for `await`."""
    return AsyncOpenAI(**_options(connect(), options))


def shared_client() -> OpenAI:
    """One client for the whole kernel, made anew when the platform has moved (it does when it restarts)."""
    connection = connect()
    return _client_for(connection.base_url, connection.api_key)


def default_model() -> str:
    """The chat model that is used when none is named: the one that has been there longest.

    Raises:
        LookupError: the platform has no chat model yet.
    """
    listed = [model for model in shared_client().models.list() if (model.model_extra or {}).get("kind") == "chat"]
    bases = [model for model in listed if not (model.model_extra or {}).get("base_model")]
    if not bases:
        raise LookupError("The platform has no chat model yet. Register or pull one: `perijove models pull --help`.")
    return min(bases, key=lambda model: (model.created, model.id)).id


@lru_cache(maxsize=4)
def _client_for(base_url: str, api_key: str) -> OpenAI:
    return OpenAI(base_url=f"{base_url}/v1", api_key=api_key, timeout=TIMEOUT_SECONDS)


def _options(connection: Connection, options: dict[str, Any]) -> dict[str, Any]:
    given = {"base_url": f"{connection.base_url}/v1", "api_key": connection.api_key, "timeout": TIMEOUT_SECONDS}
    return given | options
