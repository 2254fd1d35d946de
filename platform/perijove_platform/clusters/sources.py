"""What clusters need of the other managers."""

from typing import Protocol


class Projects(Protocol):
    """The users manager."""

    async def has_project(self, organization_id: str, project_id: str) -> bool: ...


class PlacedJobs(Protocol):
    """The jobs manager."""

    async def unfinished_on(self, organization_id: str, cluster: str) -> int:
        """How many jobs of an organization have not ended on the cluster of that name."""
        ...
