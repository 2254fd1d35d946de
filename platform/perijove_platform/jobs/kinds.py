"""What each kind of job has of its own, for the parts of this package that serve every kind."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.errors import NotFound
from perijove_platform.jobs.store import JobEventRow, JobRow, Row
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import Cluster, JobSpec, JobUpdate
from perijove_platform.schemas import Response

logger = logging.getLogger(__name__)

Report = Mapping[str, Any]


class JobFailed(Exception):
    """A job cannot go on, for a reason on our side of the cluster."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class Journal(Protocol):
    """What a kind writes of its jobs: `journal.JobJournal`."""

    async def add_message(self, session: AsyncSession, row: JobRow, level: str, message: str) -> None:
        """An event in words."""

    async def updated(self, session: AsyncSession, row: JobRow) -> None:
        """The row has changed."""


@dataclass(frozen=True)
class Outcome:
    """What a job that succeeded leaves.

    Attributes:
        columns: of its row, by name.
        message: an event that tells of it.
    """

    columns: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None


class JobKind(ABC, Generic[Row]):
    """One kind of job.

    Attributes:
        name: in the table of jobs.
        object: on the wire, and in the types of events.
        event_prefix: of the ids of its events.
        created, started, resumed: what events say.
        interrupted: how a job goes on whose run was ended by a restart of the platform.
    """

    table: type[Row]
    name: ClassVar[str]
    object: ClassVar[str]
    event_prefix: ClassVar[str]
    created: ClassVar[str]
    started: ClassVar[str]
    resumed: ClassVar[str]
    interrupted: ClassVar[str]

    @abstractmethod
    def public(self, row: Row) -> Response:
        """The job as the API returns it."""

    @abstractmethod
    def public_event(self, row: JobEventRow) -> Response:
        """One of its events as the API returns it."""

    @abstractmethod
    def not_found(self, job_id: str) -> NotFound:
        """The refusal of an id that the project does not have."""

    @abstractmethod
    async def spec(self, row: Row) -> JobSpec:
        """What a cluster is given. Raises `JobFailed`."""

    def is_ready(self, row: Row) -> bool:
        """Whether a cluster can have it; if not, `make_ready` comes first."""
        return True

    async def make_ready(self, row: Row) -> Row | None:
        """The row that a cluster can have, or ``None`` when it is not wanted any more. Raises `JobFailed`."""
        return row

    async def record_report(self, journal: Journal, session: AsyncSession, row: Row, report: Report) -> None:
        """What its program said, but for metrics, messages and errors."""
        logger.warning("Job %s reported %r, which nobody knows", row.id, report.get("type"))

    def record_metrics(self, row: Row, reports: Sequence[Report]) -> None:
        """Its newest metrics, oldest first, in its row."""

    def metrics_message(self, report: Report) -> str:
        """An event of one metrics report, in words."""
        return f"Step {report['step']}/{report['total_steps']}"

    async def collect(self, cluster: Cluster, row: Row) -> Outcome:
        """Take over what the program of a job that succeeded has left.

        Done again after a platform was killed in between, it changes nothing.

        Raises:
            JobFailed: that cannot be had.
            errors.Unavailable: not now; try again.
        """
        return Outcome()

    def moved(self, row: Row, update: JobUpdate) -> None:
        """Its state has been set from `update`; it may be a final one."""


def owner_of(row: Any) -> Caller:
    """Who created the row, for what is done in their name after their request; without any scope."""
    return Caller(
        user_id=row.created_by,
        user_name="",
        organization_id=row.organization_id,
        project_id=row.project_id,
        scopes=frozenset(),
        key_id="",
    )


class JobKinds:
    """The kinds that there are, by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, JobKind[Any]] = {}

    def add(self, kind: JobKind[Any]) -> None:
        self._kinds[kind.name] = kind

    def of(self, name: str) -> JobKind[Any]:
        return self._kinds[name]
