"""New rows of models, and the rules of their names."""

from __future__ import annotations

import re
from pathlib import Path

from perijove_platform.errors import BadRequest, Conflict
from perijove_platform.ids import new_id
from perijove_platform.models.schemas import Source
from perijove_platform.models.store import ModelRow
from perijove_platform.rbac import Caller

# Last words of our own routes below a model's.
_RESERVED = frozenset({"load", "unload", "cancel", "aliases"})
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._:/@+-]+")


def new_row(caller: Caller, name: str, source: Source, *, state: str) -> ModelRow:
    """A chat model of the caller's project, not yet in the database.

    Raises:
        BadRequest: `name` cannot be a model's id.
    """
    check_name(name)
    return ModelRow(
        id=new_id("mdl-"),
        name=name,
        kind="chat",
        state=state,
        source=source.model_dump(),
        bytes_done=0,
        in_process=False,
        built_in=False,
        **owned(caller),
    )


def owned(caller: Caller) -> dict[str, str]:
    """The columns of `database.Owned`."""
    return {
        "organization_id": caller.organization_id,
        "project_id": caller.project_id,
        "created_by": caller.user_id,
    }


def check_name(name: str) -> None:
    """Refuses, with a `BadRequest`, an id that the routes could not tell from their own words."""
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts or _RESERVED & set(parts):
        raise BadRequest(
            f"'{name}' cannot be a model's id: it must not have empty parts, '.', '..' or one of "
            f"{', '.join(sorted(_RESERVED))} between slashes. Choose another.",
            param="id",
        )


def taken(name: str) -> Conflict:
    """The error for a name that another model or alias has."""
    return Conflict(
        f"There is a model or alias '{name}' already. Give another 'id', or delete that one first.",
        param="id",
        code="model_exists",
    )


def name_of(path: Path) -> str:
    """The id of a model that is registered without one."""
    name = _NOT_IN_NAME.sub("-", path.name.removesuffix(".gguf")).strip("-._:/@+")
    return name[:200] or "model"
