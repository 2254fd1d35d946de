"""One engine process: starts it, knows whether it is ready, counts its leases."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perijove_platform.engines.config import EngineConfig, EngineReady
from perijove_platform.engines.program import EngineProgram
from perijove_platform.errors import Unavailable
from perijove_platform.runtimes.base import Endpoint, EngineState, ModelSpec
from perijove_platform.runtimes.local.processes import ChildProcess, ProcessSpec, ProcessSupervisor

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class EngineFolders:
    """Where engines work and where their logs go."""

    work: Path
    logs: Path


@dataclass(frozen=True, kw_only=True)
class EngineLimits:
    """Bounds of every engine.

    Attributes:
        start_seconds: a model that has not loaded by then has failed.
        max_context_length: tokens, for a model whose own length is not overridden.
        memory_bytes: of all engines together; one that alone takes more is killed.
        room_seconds: how long a model waits for others to make room for it.
    """

    start_seconds: float
    room_seconds: float
    max_context_length: int
    memory_bytes: int


class LocalEngine:
    """An engine process for `spec`; made in the state `LOADING`, used once `start` has returned.

    Attributes:
        leases: requests that are using it now.
        memory_bytes: estimated while it loads, measured afterwards; never below the estimate of its full context.
    """

    def __init__(self, spec: ModelSpec, program: EngineProgram, limits: EngineLimits, *, number: int) -> None:
        self.spec = spec
        self.state = EngineState.LOADING
        self.reason: str | None = None
        self.leases = 0
        self.memory_bytes = 0
        self.ended = asyncio.Event()
        self._program = program
        self._limits = limits
        self._name = f"engine-{_UNSAFE.sub('-', spec.model_id)[:80]}-{number}"
        self._log_name = f"engine-{_UNSAFE.sub('-', spec.model_id)[:80]}.log"
        self._secret = secrets.token_urlsafe(32)
        self._child: ChildProcess | None = None
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        assert self._endpoint is not None, "only a ready engine has an endpoint"
        return self._endpoint

    def serves(self, spec: ModelSpec) -> bool:
        """Whether a request for `spec` can use this engine: the same model, and every adapter that is asked for."""
        mine, theirs = self.spec, spec
        same = (mine.path, mine.embedding, mine.context_length) == (
            theirs.path,
            theirs.embedding,
            theirs.context_length,
        )
        return same and set(theirs.adapters) <= set(mine.adapters)

    def config(self) -> EngineConfig:
        return EngineConfig(
            model_id=self.spec.model_id,
            model_path=str(self.spec.path),
            api_key=self._secret,
            adapters=[str(adapter.path) for adapter in self.spec.adapters],
            embedding=self.spec.embedding,
            context_length=self.spec.context_length,
            max_context_length=self._limits.max_context_length,
        )

    async def estimate(self) -> int:
        """Memory that it will need, in bytes.

        Raises:
            Unavailable: the model's files cannot be served.
        """
        try:
            return await asyncio.to_thread(self._program.estimate_bytes, self.config())
        except (ValueError, OSError) as error:
            raise self._unavailable(_say(error)) from error

    async def start(self, supervisor: ProcessSupervisor, folders: EngineFolders) -> None:
        """Until the engine answers.

        Raises:
            Unavailable: it cannot start; says why.
        """
        try:
            self._child = await supervisor.spawn(
                ProcessSpec(
                    name=self._name,
                    argv=self._program.command(),
                    config=self.config().to_json(),
                    log_path=folders.logs / self._log_name,
                    work_dir=folders.work,
                    memory_bytes=self._limits.memory_bytes,
                )
            )
            async with asyncio.timeout(self._limits.start_seconds):
                ready = await self._await_ready(self._child)
        except TimeoutError:
            await self.stop()
            raise self._unavailable(f"it did not start within {self._limits.start_seconds:.0f} seconds") from None
        except OSError as error:
            raise self._unavailable(_say(error)) from error
        self.memory_bytes = max(self.memory_bytes, await self._child.memory_bytes())
        self._endpoint = Endpoint(
            base_url=ready.base_url,
            headers={"Authorization": f"Bearer {self._secret}"},
            adapter_index={adapter.model_id: index for index, adapter in enumerate(self.spec.adapters)},
            context_length=ready.context_length,
        )
        self.state = EngineState.READY

    async def wait(self) -> str | None:
        """Until the process has ended; why, or ``None`` when it was stopped on purpose."""
        assert self._child is not None
        exit_ = await self._child.wait()
        return None if exit_.cause == "stopped" else self._why(self._child.log_tail(), exit_.describe())

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(grace_seconds=1.0)

    async def _await_ready(self, child: ChildProcess) -> EngineReady:
        message: str | None = None
        # Not `async for` alone: the reports end only with the process, and the first one tells all.
        async with contextlib.aclosing(child.reports()) as reports:
            async for report in reports:
                if report.get("event") == "ready":
                    return EngineReady.from_json(report)
                message = str(report.get("message"))
                break
        exit_ = await child.wait()
        if exit_.cause == "stopped":
            raise self._unavailable("it was unloaded while it was loading")
        raise self._unavailable(message or self._why(child.log_tail(), exit_.describe()))

    def _why(self, log: Sequence[str], description: str) -> str:
        told = self._program.explain(log) if self.state is EngineState.LOADING else None
        last_line = f" ({log[-1].strip()[:300]})" if log and description.startswith("ended with") else ""
        return told or f"its engine {description}{last_line}"

    def _unavailable(self, reason: str) -> Unavailable:
        self.reason = reason
        return Unavailable(f"The model cannot be served: {reason}.", code="model_unavailable")


def _say(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the file {error.filename} is missing: register the model again"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'} cannot be read ({error.strerror or error})"
    return str(error)
