"""The platform's end of the runner: tokens, inputs, signed addresses, reports on their way to the recorder."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any

from perijove_platform.database import Database, after_commit, now
from perijove_platform.errors import ApiError, Conflict, Unauthorized, Unavailable
from perijove_platform.events.wakeups import listen, notify
from perijove_platform.jobs.run_inputs import RunInputs
from perijove_platform.jobs.run_results import fetch_results
from perijove_platform.jobs.run_schemas import (
    Attempt,
    InputFile,
    Inputs,
    ReportsCreate,
    ReportsReceived,
    StoredCheckpoint,
    StoredReport,
    Urls,
    UrlsCreate,
)
from perijove_platform.jobs.run_store import JobRunRow, JobRunStore
from perijove_platform.objects import ObjectStore
from perijove_platform.runner.contract import BASE_MODEL, CA_FILE, GRACE_SECONDS, RUN_FILE, TOKEN_FILE
from perijove_platform.runtimes.base import JobSpec, JobUpdate

logger = logging.getLogger(__name__)

CHANNEL = "perijove_job_runs"
URL_SECONDS = 900
MAX_WAITING_REPORTS = 20_000
"""Of one job, that arrived and have not been recorded."""
KEPT_CHECKPOINTS = 2
KEPT_TOKENS = 4
_PAGE = 200
_PREPARE_SECONDS = 20.0
_LOOK_SECONDS = 1.0
_HAND_OVER_SECONDS = 30.0


class _Feed:
    """How far the watcher of one cluster has come: `taken` is the number of the last report that it has taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.wake = asyncio.Event()

    def ring(self) -> None:
        self.wake.set()
        self.wake = asyncio.Event()


class JobRunsService:
    """See `runtimes.job_runs.JobRuns`, which this implements, and `routes`, which the runner asks.

    Args:
        public_url: address of this platform as pods reach it; without it no run can begin.
        ca: file with certificates (PEM) that pods have to believe besides the public ones.
        jobs_dir: results are fetched to ``jobs_dir/<job id>``.
    """

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        *,
        public_url: str | None,
        jobs_dir: Path,
        ca: Path | None = None,
    ) -> None:
        self._database = database
        self._objects = objects
        self._public_url = public_url.rstrip("/") if public_url else None
        self._jobs_dir = jobs_dir
        self._ca = ca
        self._inputs = RunInputs(database, objects)
        self._feeds: dict[str, _Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Hear of the reports that other replicas receive; end the runs of jobs that ended just before a crash."""
        self._listening = asyncio.create_task(listen(self._database, self._ring_all, CHANNEL))
        async with self._database.read() as session:
            left = await JobRunStore(session).left_over()
        for job_id in left:
            await self.end(job_id)

    async def stop(self) -> None:
        await self._inputs.stop()
        tasks = [*self._tasks, *([self._listening] if self._listening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def begin(self, cluster: str, spec: JobSpec) -> Mapping[str, str]:
        """See `JobRuns.begin`."""
        if self._public_url is None:
            message = "Set PERIJOVE_PUBLIC_URL to an address of this platform that the cluster's pods can reach."
            raise Unavailable(f"The platform does not know its own address. {message}", code="no_public_url")
        config = dict(spec.config)
        base = config.get("base_model")
        if base is not None:
            if await asyncio.to_thread(Path(base).is_dir):
                message = "This base model is a folder, which cannot be sent to a cluster. Register it as a GGUF file."
                raise Unavailable(message, code="model_not_available")
            config["base_model"] = BASE_MODEL
        token = f"pjrun-{secrets.token_urlsafe(32)}"
        async with self._database.write() as session:
            runs = JobRunStore(session)
            row = await runs.get(spec.job_id, lock=True)
            if row is None:
                row = JobRunRow(
                    job_id=spec.job_id,
                    attempt=0,
                    received=0,
                    token_hashes=[],
                    checksums={},
                    results={},
                    checkpoint=None,
                )
                runs.add(row)
            row.project_id, row.cluster = spec.project_id, cluster
            row.inputs, row.base_model = dict(spec.inputs), base
            # Another replica may do the same just now, and either Secret may be the one that stays.
            earlier = row.token_hashes if row.ended_at is None else []
            row.token_hashes = [*earlier, _hash(token)][-KEPT_TOKENS:]
            if row.ended_at is not None:
                row.ended_at = row.checkpoint = None
        self._inputs.prepare(row)
        run = {
            "job_id": spec.job_id,
            "platform_url": self._public_url,
            "program": spec.program,
            "config": config,
            "grace_seconds": GRACE_SECONDS,
        }
        files = {RUN_FILE: json.dumps(run), TOKEN_FILE: token}
        if self._ca is not None:
            try:
                files[CA_FILE] = await asyncio.to_thread(self._ca.read_text)
            except OSError as error:
                message = f"PERIJOVE_TLS_CA names a file that cannot be read: {error.strerror}."
                raise Unavailable(message, code="no_tls_ca") from None
        return files

    async def end(self, job_id: str) -> None:
        """See `JobRuns.end`."""
        async with self._database.write() as session:
            runs = JobRunStore(session)
            row = await runs.get(job_id, lock=True)
            if row is None or (row.ended_at is not None and row.checkpoint is None):
                return
            row.ended_at = row.ended_at or now()
        self._inputs.forget(job_id)
        self._later(self._clear(row))

    async def watch(self, cluster: str) -> AsyncIterator[JobUpdate]:
        """See `JobRuns.watch`. One watcher at a time."""
        feed = self._feeds[cluster] = _Feed()
        while True:
            wake = feed.wake
            async with self._database.read() as session:
                rows = await JobRunStore(session).after(cluster, feed.taken, limit=_PAGE)
            for row in rows:
                yield JobUpdate(job_id=row.job_id, report=row.report, number=row.id)
                feed.taken = row.id
            if rows:
                feed.ring()
            if len(rows) < _PAGE:
                await wake.wait()

    async def handed_over(self, job_id: str) -> None:
        """See `JobRuns.handed_over`. Waits half a minute at most, should nobody watch."""
        async with self._database.read() as session:
            runs = JobRunStore(session)
            row, newest = await runs.get(job_id), await runs.newest(job_id)
        if row is None:
            return
        try:
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                while not await self._is_taken(row.cluster, job_id, newest):
                    feed = self._feeds.get(row.cluster)
                    await _wait(feed.wake if feed is not None else asyncio.Event(), _LOOK_SECONDS)
        except TimeoutError:
            logger.warning("Nobody takes the reports of job %s", job_id)

    async def _is_taken(self, cluster: str, job_id: str, number: int) -> bool:
        """By the watcher here, or recorded by another replica."""
        feed = self._feeds.get(cluster)
        taken = 0 if feed is None else feed.taken
        if taken >= number:
            return True
        async with self._database.read() as session:
            return await JobRunStore(session).newest(job_id, until=number) <= taken

    async def results(self, job_id: str) -> Path:
        """See `JobRuns.results`.

        Raises:
            Conflict: a result is not in the object store, or not what the runner has stored.
            Unavailable: the object store does not answer.
        """
        async with self._database.read() as session:
            row = await JobRunStore(session).get(job_id)
        folder = self._jobs_dir / job_id
        if row is not None:
            await fetch_results(self._objects, f"{row.prefix}results/", row.results, folder)
        return folder

    async def authenticate(self, job_id: str, token: str) -> JobRunRow:
        """The run that the token is for.

        Raises:
            Unauthorized: it is not this job's (``invalid_job_token``), or the job has ended (``job_ended``).
        """
        async with self._database.read() as session:
            runs = JobRunStore(session)
            row = await runs.get(job_id)
            given = _hash(token).encode()
            # Each is compared, and each in the same time.
            matches = [hmac.compare_digest(known.encode(), given) for known in (row.token_hashes if row else ())]
            if row is None or not any(matches):
                raise Unauthorized("This token is not one of this job.", code="invalid_job_token")
            if row.ended_at is not None or await runs.job_has_ended(job_id):
                raise Unauthorized("The job has ended, and its token with it.", code="job_ended")
        return row

    async def new_attempt(self, run: JobRunRow) -> Attempt:
        """Begin a pod's turn: reports of the earlier ones are refused from now on, numbers begin at 1."""
        async with self._database.write() as session:
            row = await self._locked(JobRunStore(session), run.job_id)
            row.attempt, row.received = row.attempt + 1, 0
            return Attempt(attempt=row.attempt)

    async def inputs(self, run: JobRunRow) -> Inputs:
        """Addresses of everything that a pod needs to begin or to go on.

        Raises:
            Conflict: an input is not there (any more); it will not come back (``input_missing``).
            Unavailable: they are still being put into the object store (``inputs_not_ready``), or that is away.
        """
        preparing = self._inputs.prepare(run)
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                prepared = await asyncio.shield(preparing)
        except TimeoutError:
            message = "The base model is still being put into the object store. Ask again in some seconds."
            raise Unavailable(message, code="inputs_not_ready", headers={"Retry-After": "5"}) from None
        expires_at = now() + URL_SECONDS
        files = [
            InputFile(
                path=path,
                url=await self._objects.signed_get(found.key, URL_SECONDS),
                size=found.size,
                sha256=found.sha256,
            )
            for path, found in prepared.items()
        ]
        checkpoint = None
        if run.checkpoint is not None:
            url = await self._objects.signed_get(run.prefix + run.checkpoint["path"], URL_SECONDS)
            checkpoint = StoredCheckpoint(url=url, **run.checkpoint)
        return Inputs(inputs=files, checkpoint=checkpoint, expires_at=expires_at)

    async def urls(self, run: JobRunRow, request: UrlsCreate) -> Urls:
        """Addresses to write checkpoints and results to."""
        expires_at = now() + URL_SECONDS
        put = {path: await self._objects.signed_put(run.prefix + path, URL_SECONDS) for path in request.put}
        return Urls(put=put, expires_at=expires_at)

    async def add_reports(self, run: JobRunRow, request: ReportsCreate) -> ReportsReceived:
        """Keep what has not been received before, all or nothing.

        Raises:
            Conflict: another pod has the job now (``superseded``), or reports before these are missing
                (``report_gap``).
            Unavailable: too many reports wait to be recorded.
        """
        async with self._database.write() as session:
            runs = JobRunStore(session)
            row = await self._locked(runs, run.job_id)
            if request.attempt != row.attempt:
                raise Conflict(f"Attempt {row.attempt} runs this job now. End this one.", code="superseded")
            if request.first > row.received + 1:
                message = f"The last report that was received is number {row.received}. Begin a new attempt."
                raise Conflict(message, code="report_gap")
            fresh = request.reports[row.received + 1 - request.first :]
            if await runs.waiting(row.job_id) + len(fresh) > MAX_WAITING_REPORTS:
                message = "Too many reports of this job wait to be recorded. Send them again later."
                raise Unavailable(message, code="too_many_reports", headers={"Retry-After": "10"})
            stored = [report for report in fresh if isinstance(report, StoredReport)]
            await runs.append(row, [report.fields() for report in fresh if not isinstance(report, StoredReport)])
            before = row.checkpoint
            for report in stored:
                _note_stored(row, report)
            row.received += len(fresh)
            await notify(session, CHANNEL)
            after_commit(session, lambda: self._ring(row.cluster))
        if row.checkpoint != before:
            self._later(self._prune(row))
        return ReportsReceived(received=row.received)

    async def _locked(self, runs: JobRunStore, job_id: str) -> JobRunRow:
        row = await runs.get(job_id, lock=True)
        if row is None or row.ended_at is not None:
            raise Unauthorized("The job has ended, and its token with it.", code="job_ended")
        return row

    def _ring(self, cluster: str) -> None:
        if (feed := self._feeds.get(cluster)) is not None:
            feed.ring()

    def _ring_all(self) -> None:
        for feed in self._feeds.values():
            feed.ring()

    async def _clear(self, run: JobRunRow) -> None:
        """Remove the checkpoints of a run that has ended."""
        await self._objects.delete_prefix(f"{run.prefix}checkpoints/")
        async with self._database.write() as session:
            row = await JobRunStore(session).get(run.job_id, lock=True)
            if row is not None and row.ended_at is not None:
                row.checkpoint = None

    async def _prune(self, run: JobRunRow) -> None:
        """Remove the checkpoints before the newest two."""
        keys = [found.key async for found in self._objects.list(f"{run.prefix}checkpoints/")]
        for key in sorted(keys, key=_step_of)[:-KEPT_CHECKPOINTS]:
            await self._objects.delete(key)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        async def attempt() -> None:
            try:
                await work
            except (ApiError, OSError, LookupError) as error:
                logger.warning("Old checkpoints cannot be removed: %s", error)

        task = asyncio.create_task(attempt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _note_stored(row: JobRunRow, report: StoredReport) -> None:
    folder, _, name = report.path.partition("/")
    if folder == "results":
        row.results = {**row.results, name: {"size": report.size, "sha256": report.sha256}}
        return
    step = _step_of(report.path)
    if row.checkpoint is None or step >= row.checkpoint["step"]:
        row.checkpoint = {"path": report.path, "size": report.size, "sha256": report.sha256, "step": step}


def _step_of(path: str) -> int:
    return int(path.rpartition("/")[2].removesuffix(".tar"))


def _hash(token: str) -> str:
    # A token has 256 random bits, so a plain digest cannot be searched.
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
