"""An event on the wire."""

from typing import Any

from perijove_platform.schemas import Response


class Event(Response):
    """The `data` of one server-sent event."""

    id: int
    type: str
    created_at: int
    object_id: str
    data: dict[str, Any]
