"""What this kernel has made through `perijove`."""

from dataclasses import dataclass

MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Made:
    kind: str
    id: str
    name: str


_made: dict[str, Made] = {}


def remember(kind: str, id: str, name: str) -> None:
    """Note that this kernel has made an object; beyond `MAX_REMEMBERED` the oldest is forgotten, not deleted."""
    _made[id] = Made(kind, id, name)
    if len(_made) > MAX_REMEMBERED:
        del _made[next(iter(_made))]


def forget(id: str) -> None:
    _made.pop(id, None)


def remembered() -> list[Made]:
    """Oldest first."""
    return list(_made.values())
