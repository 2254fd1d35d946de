"""Takes usage without waiting, writes it in batches, sums it up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from perijove_platform.database import Database, now
from perijove_platform.errors import BadRequest
from perijove_platform.rbac import Caller
from perijove_platform.usage.store import HOUR, UsageFilter, UsageStore, UsageSum, add_all

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
MAX_PENDING = 10_000
MAX_IN_TRANSACTION = 500
WIDTHS = {"1h": HOUR, "1d": 24 * HOUR}
LIMITS = {"1h": (24, 168), "1d": (7, 31)}
"""Buckets per page by width: the default and the most, as OpenAI has them."""


class Used(Protocol):
    """What one request used; `inference.catalog.UsageRecord` is one."""

    @property
    def organization_id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def api_key_id(self) -> str | None: ...
    @property
    def model(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...


@dataclass(slots=True)
class Counters:
    organization_id: str
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True)
class Buckets:
    """A page: the sums by the start of their bucket, every bucket of the page present."""

    width: int
    sums: dict[int, list[UsageSum]]
    next_start: int | None


class UsageService:
    """Implements `inference.catalog.UsageSink`.

    What was recorded is in SQL within a second, and at the latest when `stop` returns; only a crash of the process
    loses what is younger than that.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # By (project, hour, model, operation, user, key). Summing here keeps batches small however many requests come.
        self._pending: dict[tuple[str, int, str, str, str, str], Counters] = {}
        self._flushing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._dropped = 0

    async def start(self) -> None:
        self._writer = asyncio.create_task(self._write_forever(), name="usage-writer")

    async def stop(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    def record(self, record: Used) -> None:
        """Count a request; returns at once."""
        hour = record.at - record.at % HOUR
        key_id = record.api_key_id or ""
        key = (record.project_id, hour, record.model, record.operation, record.user_id, key_id)
        counters = self._pending.get(key)
        if counters is None:
            if len(self._pending) >= MAX_PENDING:
                self._dropped += 1
                if self._dropped % 1000 == 1:
                    logger.error("usage of %d requests was dropped: the database takes no writes", self._dropped)
                return
            counters = self._pending[key] = Counters(record.organization_id)
        counters.requests += 1
        counters.prompt_tokens += record.prompt_tokens
        counters.completion_tokens += record.completion_tokens
        counters.cached_tokens += record.cached_tokens
        self._wake.set()

    async def _write_forever(self) -> None:
        backoff = FLUSH_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(backoff)
            try:
                await self.flush()
                backoff = FLUSH_SECONDS
            except Exception:
                backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)
                self._wake.set()
                logger.exception("writing usage failed, trying again in %s s", backoff)

    async def flush(self) -> None:
        """Write what is pending, and wait for what is being written. What could not be written stays pending."""
        async with self._flushing:
            while self._pending:
                await self._write_batch()

    async def _write_batch(self) -> None:
        batch = {key: self._pending.pop(key) for key in list(self._pending)[:MAX_IN_TRANSACTION]}
        try:
            async with self._database.write() as session:
                await add_all(session, [_row(key, counters) for key, counters in batch.items()])
        except BaseException:
            self._put_back(batch)
            raise

    def _put_back(self, batch: dict[tuple[str, int, str, str, str, str], Counters]) -> None:
        for key, counters in batch.items():
            into = self._pending.setdefault(key, Counters(counters.organization_id))
            into.requests += counters.requests
            into.prompt_tokens += counters.prompt_tokens
            into.completion_tokens += counters.completion_tokens
            into.cached_tokens += counters.cached_tokens

    async def buckets(
        self,
        caller: Caller,
        wanted: UsageFilter,
        *,
        width: str,
        group_by: Sequence[str],
        limit: int | None,
        page: str | None,
    ) -> Buckets:
        """One page of buckets from `wanted.start` to `wanted.end`, what was recorded until now included.

        Raises:
            BadRequest: the times are in the wrong order, or the limit is too high.
        """
        await self.flush()
        seconds = WIDTHS[width]
        default, most = LIMITS[width]
        if limit is not None and limit > most:
            raise BadRequest(f"'limit' is at most {most} for buckets of {width}.", param="limit")
        if wanted.end <= wanted.start:
            raise BadRequest("'end_time' must be after 'start_time'.", param="end_time")
        start = int(page) if page is not None else wanted.start - wanted.start % seconds
        count = min(limit or default, max(0, -(-(wanted.end - start) // seconds)))
        end = start + count * seconds
        first = max(start, wanted.start - wanted.start % HOUR)
        narrowed = UsageFilter(
            start=first,
            end=min(end, wanted.end),
            models=wanted.models,
            user_ids=wanted.user_ids,
            api_key_ids=wanted.api_key_ids,
            operation=wanted.operation,
        )
        async with self._database.read() as session:
            sums = await UsageStore(session, caller.project_id).sums(narrowed, width=seconds, group_by=group_by)
        by_bucket: dict[int, list[UsageSum]] = {start + index * seconds: [] for index in range(count)}
        for found in sums:
            by_bucket.setdefault(found.bucket, []).append(found)
        return Buckets(seconds, by_bucket, end if end < wanted.end else None)


def _row(key: tuple[str, int, str, str, str, str], counters: Counters) -> dict[str, Any]:
    project_id, hour, model, operation, user_id, api_key_id = key
    return {
        "organization_id": counters.organization_id,
        "project_id": project_id,
        "created_by": user_id,
        "created_at": now(),
        "hour": hour,
        "model": model,
        "operation": operation,
        "api_key_id": api_key_id,
        "requests": counters.requests,
        "prompt_tokens": counters.prompt_tokens,
        "completion_tokens": counters.completion_tokens,
        "cached_tokens": counters.cached_tokens,
    }
