"""Every table of the platform, for the migrations: importing a store declares its tables."""

from perijove_platform import idempotency
from perijove_platform.database import Base
from perijove_platform.events import store as events
from perijove_platform.files import store as files
from perijove_platform.inference import store as inference
from perijove_platform.jobs import store as jobs
from perijove_platform.models import store as models
from perijove_platform.usage import store as usage
from perijove_platform.users import store as users
from perijove_platform.vector_stores import tables as vector_stores

STORES = (events, files, idempotency, inference, jobs, models, usage, users, vector_stores)
ALL_TABLES = Base.metadata.sorted_tables
