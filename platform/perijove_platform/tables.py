"""Every table of the platform, for the migrations."""

from perijove_platform.events.store import OutboxRow
from perijove_platform.users.store import ApiKeyRow, OrganizationRow, ProjectRow, UserRow

ALL_TABLES = (ApiKeyRow, OrganizationRow, OutboxRow, ProjectRow, UserRow)
