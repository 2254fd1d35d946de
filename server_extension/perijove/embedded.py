"""The platform of this machine, kept running while a Jupyter server uses it.

One platform serves a data directory, whoever started it: another JupyterLab, one that has crashed since, or a person
with ``perijove serve``. It is adopted when it runs, started when it does not, started again when it dies, and stopped
when the last JupyterLab leaves (unless a person started it).
"""

import asyncio
import contextlib
import logging
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from perijove_platform.discovery import Connection, NotRunning, read_record

from perijove import platform_process
from perijove.leases import GateTimeout, Leases
from perijove.platform_link import CannotRestart, NotReady, PlatformStatus, State

START_SECONDS = 60.0
START_POLL_SECONDS = 0.05
CONNECT_SECONDS = 2.0
STOP_SECONDS = 15.0
# A platform that ran this long was healthy: its end starts the count of failures anew.
HEALTHY_SECONDS = 60.0
MAX_FAILURES = 5
FIRST_BACK_OFF_SECONDS = 0.5


class StartFailed(Exception):
    """The platform did not come up; the message says why."""


class EmbeddedPlatform:
    """Supervises the platform of one data directory; implements `PlatformLink`.

    Args:
        stop_with_last: stop the platform when the last Jupyter server that uses it stops.
    """

    def __init__(self, data_dir: Path, *, stop_with_last: bool, log: logging.Logger) -> None:
        self._data_dir = data_dir
        self._stop_with_last = stop_with_last
        self._log = log
        self._leases = Leases(data_dir)
        self._child: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._status = self._report("starting", "The platform is starting; this takes a few seconds.")
        self._supervision: asyncio.Task[None] | None = None

    def connection(self) -> Connection:
        if self._connection is None:
            status = self._status
            message = " ".join(part for part in (status.reason, status.remedy) if part)
            raise NotReady(message, code=f"platform_{status.state}")
        return self._connection

    async def key_refused(self) -> None:
        """Nothing to do: the key is read whenever the platform starts."""

    async def status(self) -> PlatformStatus:
        return self._status

    async def head_start(self) -> None:
        """Have the platform begin to start, and leave the waiting to others.

        Raises:
            OSError: the data directory cannot be written to.
            GateTimeout: another Jupyter server is starting or stopping the platform.
        """
        async with self._leases.gate():
            await self._spawn_unless_running()

    async def start(self) -> None:
        self._supervision = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        await self._end_supervision()
        try:
            async with self._leases.gate():
                self._leases.leave()
                if self._stop_with_last and not self._leases.others():
                    await self._stop_process()
        except (OSError, GateTimeout) as error:
            self._log.warning("Perijove's platform was left running: %s", error)

    async def restart(self) -> None:
        connection = self._connection
        if connection is not None and connection.pid != self._leases.started():
            raise CannotRestart(
                f"This platform (process {connection.pid}) was started with `perijove serve`. Restart it there."
            )
        await self._end_supervision()
        self._connection = None
        self._status = self._report("starting", "The platform is restarting.")
        self._supervision = asyncio.create_task(self._supervise(stop_first=True))

    async def _end_supervision(self) -> None:
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})
            self._supervision = None

    async def _supervise(self, *, stop_first: bool = False) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            problem = await self._run_once(stop_first=stop_first)
            stop_first = False
            self._connection = None
            failures = 1 if time.monotonic() - began > HEALTHY_SECONDS else failures + 1
            if failures > MAX_FAILURES:
                self._status = self._report(
                    "failed",
                    problem,
                    remedy=f"Read {self._data_dir / platform_process.LOG}, put right what it says, then restart.",
                )
                self._log.error("Perijove's platform failed %d times and stays down: %s", failures, problem)
                return
            wait = FIRST_BACK_OFF_SECONDS * 2 ** (failures - 1)
            self._log.warning("Perijove: %s Trying again in %g s.", problem, wait)
            self._status = self._report("starting", f"{problem} Trying again in {wait:g} s.")
            await asyncio.sleep(wait)

    async def _run_once(self, *, stop_first: bool) -> str:
        """Have the platform running and wait for its end; returns what happened, for a person."""
        try:
            async with self._leases.gate():
                self._leases.take()
                if stop_first:
                    await self._stop_process()
                connection = await self._ensure_running()
        except OSError as error:
            return f"The data directory {self._data_dir} cannot be used: {error.strerror or error}."
        except (StartFailed, GateTimeout) as error:
            return str(error)
        if connection.pid is None:
            return "The platform's record names no process."
        self._connection = connection
        self._status = self._report("ready", version=connection.version, base_url=connection.base_url)
        self._log.info("Perijove's platform answers at %s (process %d).", connection.base_url, connection.pid)
        await platform_process.until_exit(connection.pid, self._own_child(connection.pid))
        return "The platform stopped unexpectedly."

    async def _ensure_running(self) -> Connection:
        """The platform that serves the data directory, started if there is none. Only inside the gate."""
        deadline = time.monotonic() + START_SECONDS
        await self._spawn_unless_running()
        while time.monotonic() < deadline:
            connection = await self._answering()
            if connection is not None:
                return connection
            # Its lock may have been taken by a `perijove serve` that came first; that one is as good.
            if not self._leases.served() and self._leases.started() is None:
                raise StartFailed(self._why_it_ended())
            await asyncio.sleep(START_POLL_SECONDS)
        raise StartFailed(f"The platform did not answer within {START_SECONDS:g} s.")

    async def _spawn_unless_running(self) -> None:
        # One that was started and does not serve yet, will.
        if not self._leases.served() and self._leases.started() is None:
            spawning = asyncio.create_task(asyncio.to_thread(self._spawn))
            try:
                await asyncio.shield(spawning)
            except asyncio.CancelledError:
                await spawning  # a process that is not noted down would be nobody's to stop
                raise

    def _spawn(self) -> None:
        self._child = platform_process.spawn(self._data_dir)
        self._leases.mark_started(self._child.pid)

    async def _answering(self) -> Connection | None:
        try:
            connection = read_record(self._data_dir)
        except NotRunning:
            return None
        address = urlsplit(connection.base_url)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
        except (OSError, TimeoutError):
            return None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        # The record of an earlier platform may name an address that is somebody else's by now.
        return connection if self._leases.served() else None

    async def _stop_process(self) -> None:
        """Stop the platform if a Jupyter server started it. Only inside the gate."""
        pid = self._leases.started()
        if pid is None:
            return
        with contextlib.suppress(NotRunning):
            if read_record(self._data_dir).pid != pid:
                return
        await platform_process.terminate(pid, self._own_child(pid), patience=STOP_SECONDS)

    def _own_child(self, pid: int) -> "subprocess.Popen[bytes] | None":
        return self._child if self._child is not None and self._child.pid == pid else None

    def _why_it_ended(self) -> str:
        line = platform_process.last_line(self._data_dir)
        code = self._child.poll() if self._child is not None else None
        how = "stopped while it was starting"
        if code is not None:
            how = f"was ended by signal {-code}" if code < 0 else f"stopped with exit code {code}"
        return f"The platform {how}." + (f" Its last words: {line}" if line else "")

    def _report(
        self,
        state: State,
        reason: str | None = None,
        *,
        remedy: str | None = None,
        version: str | None = None,
        base_url: str | None = None,
    ) -> PlatformStatus:
        return PlatformStatus(state, True, reason, remedy, version, base_url)
