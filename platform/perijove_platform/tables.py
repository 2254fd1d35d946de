"""Every table of the platform, for the migrations: importing a store declares its tables."""

from perijove_platform import idempotency
from perijove_platform.batch_jobs import store as batch_jobs
from perijove_platform.clusters import store as clusters
from perijove_platform.database import Base
from perijove_platform.events import store as events
from perijove_platform.files import store as files
from perijove_platform.fine_tuning import store as fine_tuning
from perijove_platform.inference import store as inference
from perijove_platform.jobs import run_store as job_runs
from perijove_platform.jobs import store as jobs
from perijove_platform.models import store as models
from perijove_platform.sessions import store as sessions
from perijove_platform.usage import store as usage
from perijove_platform.users import store as users
from perijove_platform.vector_stores import tables as vector_stores

STORES = (
    batch_jobs,
    clusters,
    events,
    files,
    fine_tuning,
    idempotency,
    inference,
    job_runs,
    jobs,
    models,
    sessions,
    usage,
    users,
    vector_stores,
)
ALL_TABLES = Base.metadata.sorted_tables
