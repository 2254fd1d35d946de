"""`Serving` with engine processes of this machine, within a memory budget."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from perijove_platform.engines.program import EngineProgram
from perijove_platform.errors import ApiError, Unavailable
from perijove_platform.runtimes.base import Endpoint, EngineState, EngineUpdate, ModelSpec
from perijove_platform.runtimes.local.engine import EngineFolders, EngineLimits, LocalEngine
from perijove_platform.runtimes.local.memory import format_bytes
from perijove_platform.runtimes.local.processes import ProcessSupervisor
from perijove_platform.runtimes.local.updates import Updates

_MAX_WAITING = 512
_CRASH_NOTICE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class LocalServing:
    """See `base.Serving`.

    `_engines` holds the one engine per model that new requests go to, least recently used first. An engine that was
    replaced or unloaded is in `_draining` until its leases end. Both count towards the budget.

    Args:
        idle_seconds: an engine without a lease for this long is stopped.
    """

    def __init__(
        self,
        supervisor: ProcessSupervisor,
        program: EngineProgram,
        folders: EngineFolders,
        limits: EngineLimits,
        *,
        idle_seconds: float,
    ) -> None:
        self._supervisor = supervisor
        self._program = program
        self._folders = folders
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._engines: dict[str, LocalEngine] = {}
        self._draining: set[LocalEngine] = set()
        self._loads: dict[LocalEngine, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle_timers: dict[LocalEngine, asyncio.TimerHandle] = {}
        self._room = asyncio.Condition()
        self._updates = Updates()
        self._waiting = 0
        self._made = 0
        self._closed = False

    @asynccontextmanager
    async def use(self, spec: ModelSpec) -> AsyncIterator[Endpoint]:
        """See `base.Serving.use`. An error of the block while the engine crashed becomes `Unavailable`."""
        engine = await self._acquire(spec)
        try:
            yield engine.endpoint
        except ApiError:
            raise
        except Exception as error:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CRASH_NOTICE_SECONDS):
                    await engine.ended.wait()
            if engine.state is not EngineState.FAILED:
                raise
            raise _crashed(engine) from error
        finally:
            self._release(engine)

    async def unload(self, model_id: str) -> None:
        """See `base.Serving.unload`."""
        engine = self._engines.get(model_id)
        if engine is not None:
            self._retire(engine)
            await engine.ended.wait()

    def engines(self) -> Sequence[EngineUpdate]:
        return [_update(engine) for engine in self._engines.values()]

    def watch(self) -> AsyncIterator[EngineUpdate]:
        return self._updates.watch()

    async def stop(self) -> None:
        """Stops every engine without waiting for leases."""
        self._closed = True
        for timer in self._idle_timers.values():
            timer.cancel()
        engines = [*self._engines.values(), *self._draining]
        for task in self._loads.values():
            task.cancel()
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        await asyncio.gather(*(engine.stop() for engine in engines))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._updates.send(None)

    async def _acquire(self, spec: ModelSpec) -> LocalEngine:
        while True:
            if self._closed:
                raise Unavailable("The platform is shutting down. Try again when it is back.")
            engine = self._engines.get(spec.model_id)
            if engine is not None and not engine.serves(spec):
                self._retire(engine)
                engine = None
            if engine is None:
                engine = self._begin(spec)
            if engine.state is EngineState.READY:
                self._lease(engine)
                return engine
            await self._wait_for(self._loads[engine])

    async def _wait_for(self, load: asyncio.Task[None]) -> None:
        if self._waiting >= _MAX_WAITING:
            raise Unavailable(
                f"{_MAX_WAITING} requests are waiting for models to load. Try again in a few seconds.",
                headers={"Retry-After": "5"},
            )
        self._waiting += 1
        try:
            await asyncio.shield(load)
        except asyncio.CancelledError:
            if load.cancelled():
                raise Unavailable("The platform is shutting down. Try again when it is back.") from None
            raise
        finally:
            self._waiting -= 1

    def _lease(self, engine: LocalEngine) -> None:
        engine.leases += 1
        if timer := self._idle_timers.pop(engine, None):
            timer.cancel()
        self._engines[engine.spec.model_id] = self._engines.pop(engine.spec.model_id)

    def _release(self, engine: LocalEngine) -> None:
        engine.leases -= 1
        if engine.leases:
            return
        if engine in self._draining:
            self._spawn(engine.stop())
        elif not engine.ended.is_set() and not self._closed:
            loop = asyncio.get_running_loop()
            self._idle_timers[engine] = loop.call_later(self._idle_seconds, self._retire, engine)
        self._spawn(self._announce_room())

    def _begin(self, spec: ModelSpec) -> LocalEngine:
        """A new engine, in the table at once, so that everybody who asks for the model waits for this one."""
        self._made += 1
        engine = LocalEngine(spec, self._program, self._limits, number=self._made)
        self._engines[spec.model_id] = engine
        task = asyncio.create_task(self._load(engine))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, even when nobody waits
        self._loads[engine] = task
        self._updates.send(_update(engine))
        return engine

    async def _load(self, engine: LocalEngine) -> None:
        try:
            need = await engine.estimate()
            await self._make_room(engine, need)
            await engine.start(self._supervisor, self._folders)
        except BaseException as error:
            engine.state = EngineState.FAILED
            if isinstance(error, ApiError):
                engine.reason = engine.reason or error.message
            await engine.stop()
            self._forget(engine)
            raise
        finally:
            self._loads.pop(engine, None)
        self._updates.send(_update(engine))
        self._spawn(self._attend(engine))
        if engine in self._draining:
            await engine.stop()
        elif not engine.leases:
            self._idle_timers[engine] = asyncio.get_running_loop().call_later(self._idle_seconds, self._retire, engine)

    async def _attend(self, engine: LocalEngine) -> None:
        crash = await engine.wait()
        engine.state = EngineState.STOPPED if crash is None else EngineState.FAILED
        engine.reason = crash
        if crash is not None:
            _log.warning("the engine of model %s failed: %s", engine.spec.model_id, crash)
        self._forget(engine)

    def _retire(self, engine: LocalEngine) -> None:
        """No new request goes to it; it stops when the last one that it has is done."""
        if self._engines.get(engine.spec.model_id) is not engine:
            return
        del self._engines[engine.spec.model_id]
        self._draining.add(engine)
        if timer := self._idle_timers.pop(engine, None):
            timer.cancel()
        if not engine.leases:
            self._spawn(engine.stop())

    def _forget(self, engine: LocalEngine) -> None:
        self._draining.discard(engine)
        if self._engines.get(engine.spec.model_id) is engine:
            del self._engines[engine.spec.model_id]
        if timer := self._idle_timers.pop(engine, None):
            timer.cancel()
        engine.memory_bytes = 0
        engine.ended.set()
        if engine.spec.model_id not in self._engines:  # else a successor is there, and its state is the model's
            self._updates.send(_update(engine))
        if not self._closed:
            self._spawn(self._announce_room())

    async def _make_room(self, engine: LocalEngine, need: int) -> None:
        budget = self._limits.memory_bytes
        if need > budget:
            raise Unavailable(
                f"The model needs about {format_bytes(need)} of memory, more than the {format_bytes(budget)} that "
                "engines may use. Use a smaller model or a shorter context, or raise PERIJOVE_ENGINE_MEMORY_BYTES.",
                code="model_too_large",
            )
        try:
            async with asyncio.timeout(self._limits.room_seconds), self._room:
                while self._used() + need > budget:
                    self._evict()
                    await self._room.wait()
                engine.memory_bytes = need
        except TimeoutError:
            raise Unavailable(
                f"The model needs about {format_bytes(need)} of memory and other models are in use. Try again later.",
                code="model_unavailable",
                headers={"Retry-After": "10"},
            ) from None

    def _used(self) -> int:
        return sum(engine.memory_bytes for engine in (*self._engines.values(), *self._draining))

    def _evict(self) -> None:
        """Retires the least recently used engine that nobody uses, unless one is stopping already."""
        if any(not engine.leases for engine in self._draining):
            return
        for engine in self._engines.values():
            if engine.state is EngineState.READY and not engine.leases:
                self._retire(engine)
                return

    async def _announce_room(self) -> None:
        async with self._room:
            self._room.notify_all()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _update(engine: LocalEngine) -> EngineUpdate:
    ready = engine.state is EngineState.READY
    return EngineUpdate(
        model_id=engine.spec.model_id,
        state=engine.state,
        reason=engine.reason,
        memory_bytes=engine.memory_bytes if ready else None,
    )


def _crashed(engine: LocalEngine) -> Unavailable:
    return Unavailable(
        f"The model stopped while it worked on this request ({engine.reason}). Send the request again.",
        code="engine_failed",
    )
