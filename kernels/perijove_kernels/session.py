"""What this kernel has made through `perijove`, so that it can be listed and cleaned up."""

from dataclasses import dataclass

from openai import NotFoundError

from perijove_kernels.connection import shared_client
from perijove_kernels.listings import Listing

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


def created() -> Listing:
    """Everything that this kernel has made and that it has not deleted yet."""
    return Listing("Made by this notebook", [{"kind": m.kind, "id": m.id, "name": m.name} for m in _made.values()])


def clean_up() -> Listing:
    """Delete everything of `created()`, newest first. Returns what was deleted; what is gone already is skipped.

    A job keeps its record (the API has no deletion for it); one that still runs is cancelled.
    """
    from perijove_kernels.batch_jobs import end_batch_job  # it remembers its jobs here

    client = shared_client()
    deleted = []
    for made in reversed(list(_made.values())):
        try:
            match made.kind:
                case "file":
                    client.files.delete(made.id)
                case "vector_store":
                    client.vector_stores.delete(made.id)
                case "model":
                    client.models.delete(made.id)
                case "fine_tuning.job":
                    if client.fine_tuning.jobs.retrieve(made.id).status not in ("succeeded", "failed", "cancelled"):
                        client.fine_tuning.jobs.cancel(made.id)
                case "batch_job":
                    end_batch_job(made.id)
        except NotFoundError:
            pass
        forget(made.id)
        deleted.append({"kind": made.kind, "id": made.id, "name": made.name})
    return Listing("Cleaned up", deleted)
