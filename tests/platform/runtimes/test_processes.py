"""Children really run, report, end and are killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from perijove_platform.runtimes.local import processes
from perijove_platform.runtimes.local.child_log import ChildLog
from perijove_platform.runtimes.local.memory import group_memory, oom_kills
from perijove_platform.runtimes.local.processes import ExitCause, ProcessSpec, ProcessSupervisor


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[ProcessSupervisor]:
    supervisor = ProcessSupervisor(tmp_path / "records")
    await supervisor.start()
    yield supervisor
    await supervisor.stop()


def program(tmp_path: Path, source: str, **more: Any) -> ProcessSpec:
    return ProcessSpec(
        name=more.pop("name", "child"),
        argv=[sys.executable, "-c", textwrap.dedent(source)],
        config=more.pop("config", {}),
        log_path=tmp_path / "child.log",
        work_dir=tmp_path / "work",
        **more,
    )


async def test_config_goes_in_and_reports_come_out(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    source = """
        import json, os, sys
        given = json.loads(sys.stdin.readline())
        print(json.dumps({"given": given, "cwd": os.getcwd(), "nice": os.nice(0)}))
        print("no report")
        print(json.dumps({"long": "x" * 2_000_000}))
        print(json.dumps({"last": True}))
        print("to the log", file=sys.stderr)
        sys.exit(3)
    """
    child = await supervisor.spawn(program(tmp_path, source, config={"secret": "é"}, nice=5))
    reports = [report async for report in child.reports()]
    ended = await child.wait()
    assert reports == [
        {"given": {"secret": "é"}, "cwd": str(tmp_path / "work"), "nice": min(19, os.nice(0) + 5)},
        {"last": True},
    ]
    assert (ended.code, ended.cause, ended.describe()) == (3, ExitCause.ENDED, "ended with exit code 3")
    assert "to the log" in child.log_tail() and "no report" in (tmp_path / "child.log").read_text()
    assert not list((tmp_path / "records").glob("*.json"))


@pytest.mark.parametrize("plain", [False, True])
async def test_one_that_has_ended_before_anybody_listens_is_heard(
    supervisor: ProcessSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    add = processes.ProcessRecords.add

    def add_late(records: processes.ProcessRecords, name: str, pid: int, mark: str) -> None:
        add(records, name, pid, mark)
        ended = time.monotonic() + 30
        with contextlib.suppress(psutil.NoSuchProcess):
            # Not by `wait`, which might take the exit code away from the supervisor.
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < ended:
                time.sleep(0.01)

    monkeypatch.setattr(processes.ProcessRecords, "add", add_late)
    source = "import sys; print('last words', file=sys.stderr); sys.exit(3)"
    child = await supervisor.spawn(program(tmp_path, source, plain=plain))
    assert (await child.wait()).code == 3
    assert child.log_tail() == ["last words"]


async def test_one_that_is_given_up_while_it_starts_is_heard_and_gone(
    supervisor: ProcessSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = processes.ProcessRecords.add

    def add_late(records: processes.ProcessRecords, name: str, pid: int, mark: str) -> None:
        given_up.wait(60)
        add(records, name, pid, mark)

    given_up = threading.Event()
    monkeypatch.setattr(processes.ProcessRecords, "add", add_late)
    source = "import os, time; print('begin', flush=True); open(f'pid-{os.getpid()}', 'w'); time.sleep(60)"
    starting = asyncio.create_task(supervisor.spawn(program(tmp_path, source, plain=True)))
    while not (begun := list(tmp_path.glob("work/pid-*"))):
        await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.sleep(0)
    given_up.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not psutil.pid_exists(int(begun[0].name.removeprefix("pid-")))
    assert not list((tmp_path / "records").glob("*.json"))
    again = await supervisor.spawn(program(tmp_path, "print('again')", plain=True))
    await again.wait()
    assert (tmp_path / "child.log").read_text() == "begin\nagain\n"


async def test_what_is_no_report_is_logged_although_the_program_has_ended(
    supervisor: ProcessSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ChildLog.write

    def write_late(log: ChildLog, data: bytes) -> None:
        time.sleep(0.5)
        write(log, data)

    monkeypatch.setattr(ChildLog, "write", write_late)
    child = await supervisor.spawn(program(tmp_path, "print('one'); print('two')"))
    assert [report async for report in child.reports()] == []
    await child.wait()
    assert (tmp_path / "child.log").read_text() == "one\ntwo\n"


async def test_secrets_of_the_platform_stay_with_it(
    supervisor: ProcessSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "PERIJOVE_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("HARMLESS", "seen")
    source = "import json, os; print(json.dumps(dict(os.environ)))"
    child = await supervisor.spawn(program(tmp_path, source))
    (environment,) = [report async for report in child.reports()]
    assert "hidden" not in environment.values() and environment["HARMLESS"] == "seen"


async def test_stop_kills_the_group_of_one_that_does_not_listen(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    source = """
        import json, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        other = subprocess.Popen([sys.executable, "-c", "import signal, time; "
                                  "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"])
        print(json.dumps({"other": other.pid}), flush=True)
        time.sleep(60)
    """
    child = await supervisor.spawn(program(tmp_path, source))
    report = await anext(aiter(child.reports()))
    ended = await child.stop(grace_seconds=0.1)
    assert (ended.code, ended.cause) == (-signal.SIGKILL, ExitCause.STOPPED)
    await gone(report["other"])


async def test_what_a_child_started_ends_with_it(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    source = """
        import json, subprocess, sys
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(json.dumps({"other": other.pid}))
    """
    child = await supervisor.spawn(program(tmp_path, source))
    (report,) = [report async for report in child.reports()]
    assert (await child.wait()).code == 0
    await gone(report["other"])


async def test_memory_limit(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    source = "import time; hoard = b'1' * 200_000_000; time.sleep(60)"
    child = await supervisor.spawn(program(tmp_path, source, memory_bytes=100 << 20))
    ended = await child.wait()
    assert (ended.cause, ended.describe()) == (ExitCause.MEMORY, "ran out of memory (limit 100.0 MiB)")


WAITS = "import json, time; hoard = b'1' * {}; print(json.dumps({{}}), flush=True); time.sleep(60)"


async def test_a_kill_from_elsewhere_blames_no_memory(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    child = await supervisor.spawn(program(tmp_path, WAITS.format(0), memory_bytes=4 << 30))
    await anext(aiter(child.reports()))
    os.kill(child.pid, signal.SIGKILL)
    ended = await child.wait()
    assert (ended.cause, ended.short_of_memory) == (ExitCause.ENDED, False)
    assert ended.describe() == "was killed (signal 9): by a person or by the kernel when memory ran out"


async def test_a_kill_near_the_limit_blames_memory(
    supervisor: ProcessSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()
    limit = 300 << 20

    def measure(group: int) -> int:
        used = group_memory(group)
        if used > 0.9 * limit:
            loop.call_soon_threadsafe(seen.set)
        return used

    monkeypatch.setattr(processes, "group_memory", measure)
    # The interpreter itself takes some ten of these last 30 MiB.
    child = await supervisor.spawn(program(tmp_path, WAITS.format(limit - (25 << 20)), memory_bytes=limit))
    await seen.wait()
    os.kill(child.pid, signal.SIGKILL)
    ended = await child.wait()
    assert (ended.cause, ended.short_of_memory) == (ExitCause.ENDED, True)
    assert ended.describe() == "was killed (signal 9) because memory ran out"


async def test_a_kill_that_the_kernel_counted_blames_memory(
    supervisor: ProcessSupervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, seen = 7, asyncio.Event()
    loop = asyncio.get_running_loop()

    def count() -> int:
        before = counted
        loop.call_soon_threadsafe(seen.set)
        return before

    monkeypatch.setattr(processes, "oom_kills", count)
    child = await supervisor.spawn(program(tmp_path, WAITS.format(0), memory_bytes=4 << 30))
    await anext(aiter(child.reports()))
    await seen.wait()
    counted += 1
    os.kill(child.pid, signal.SIGKILL)
    assert (await child.wait()).describe() == "was killed (signal 9) because memory ran out"


@pytest.mark.skipif(sys.platform != "linux", reason="the counter is Linux's")
def test_the_kernel_tells_how_often_memory_ran_out() -> None:
    count = oom_kills()
    assert count is not None and count >= 0


async def test_cancelled_waiter_leaves_the_child_alone(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    source = "import json, sys; sys.stdin.readline(); print(json.dumps({}), flush=True); sys.stdin.read()"
    child = await supervisor.spawn(program(tmp_path, source))
    await anext(aiter(child.reports()))
    waiter = asyncio.create_task(child.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert psutil.pid_exists(child.pid)
    assert (await child.stop()).cause is ExitCause.STOPPED


async def test_names_are_checked(supervisor: ProcessSupervisor, tmp_path: Path) -> None:
    for name in ("", "../x", "a/b"):
        with pytest.raises(ValueError, match="not a name"):
            await supervisor.spawn(program(tmp_path, "", name=name))


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_child_dies_with_a_killed_platform(tmp_path: Path) -> None:
    platform, child = killed_platform(tmp_path, "import time; time.sleep(60)")
    platform.kill()
    platform.wait()
    asyncio.run(gone(child))


async def test_leftovers_are_killed_at_the_next_start(tmp_path: Path) -> None:
    """A member of the group that outlived its leader carries the mark, and a stranger with its pid is spared."""
    source = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(60)
    """
    platform, child = killed_platform(tmp_path, source)
    begun = ["import time; time.sleep(60)"]  # what has not become its own program yet has no environment to be told by
    while not (others := [other for other in psutil.Process(child).children() if other.cmdline()[-1:] == begun]):
        await asyncio.sleep(0.01)
    platform.kill()
    platform.wait()
    await gone(child)
    assert others[0].is_running()
    assert await ProcessSupervisor(tmp_path / "records").start() == ["child"]
    await gone(others[0].pid)
    assert await ProcessSupervisor(tmp_path / "records").start() == []


async def test_a_reused_pid_is_spared(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "child.json").write_text(f'{{"pid": {stranger.pid}, "started": 1.0, "mark": "x"}}')
        (tmp_path / "broken.json").write_text("{")
        assert await ProcessSupervisor(tmp_path).start() == []
        assert stranger.poll() is None
        assert not list(tmp_path.glob("*.json"))
    finally:
        stranger.kill()
        stranger.wait()


def test_log_is_bounded(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "a.log", max_bytes=1000, tail_lines=3)
    for number in range(100):
        log.write(f"line {number:90}\n".encode())
    log.write(b"no end")
    log.close()
    log.write(b"too late")
    assert [line.split()[-1] for line in log.tail()] == ["98", "99", "end"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000


def killed_platform(tmp_path: Path, source: str) -> tuple[subprocess.Popen[str], int]:
    """A process that supervises a child, to be killed; and the child's pid."""
    main = f"""
        import asyncio, sys
        from pathlib import Path
        from perijove_platform.runtimes.local.processes import ProcessSpec, ProcessSupervisor
        async def main():
            folder = Path({str(tmp_path)!r})
            child = await ProcessSupervisor(folder / "records").spawn(ProcessSpec(
                name="child", argv=[sys.executable, "-c", {textwrap.dedent(source)!r}], config={{}},
                log_path=folder / "child.log", work_dir=folder))
            print(child.pid, flush=True)
            await child.wait()
        asyncio.run(main())
    """
    platform = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(main)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert platform.stdout is not None
    child = int(platform.stdout.readline())
    platform.stdout.close()
    return platform, child


async def gone(pid: int) -> None:
    """Waits until the process has ended; a zombie has."""
    async with asyncio.timeout(60):
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)
