"""Lists what this kernel has made, and cleans it up."""

from dataclasses import asdict

from openai import NotFoundError

from perijove_kernels.batch_jobs import end_batch_job
from perijove_kernels.connection import shared_client
from perijove_kernels.listings import Listing
from perijove_kernels.session import forget, remembered


def created() -> Listing:
    """Everything that this kernel has made and that it has not deleted yet."""
    return Listing("Made by this notebook", [asdict(made) for made in remembered()])


def clean_up() -> Listing:
    """Delete everything of `created()`, newest first. Returns what was deleted; what is gone already is skipped.

    A job keeps its record (the API has no deletion for it); one that still runs is cancelled.
    """
    client = shared_client()
    deleted = []
    for made in reversed(remembered()):
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
        deleted.append(asdict(made))
    return Listing("Cleaned up", deleted)
