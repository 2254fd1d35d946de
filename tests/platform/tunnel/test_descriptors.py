"""The limit of open files of a process, and that both ends of a tunnel raise it."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from perijove_platform.tunnel.descriptors import MOST, raise_descriptor_limit


def limit() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.fixture(autouse=True)
def hard() -> Iterator[int]:
    before = limit()
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def most(hard: int) -> int:
    return MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)


def test_a_low_limit_is_raised(hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (most(hard) // 2, hard))

    raise_descriptor_limit()

    assert limit() == (most(hard), hard)


def test_a_limit_is_never_lowered(hard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perijove_platform.tunnel.descriptors.MOST", most(hard) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most(hard) - 1, hard))

    raise_descriptor_limit()

    assert limit() == (most(hard) - 1, hard)


def test_a_system_that_allows_less_than_it_says(hard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS does, whose refusal is played."""
    set_limit = resource.setrlimit

    def refuse(which: int, limits: tuple[int, int]) -> None:
        if limits[0] > 10240:
            raise ValueError("not allowed to raise maximum limit")
        set_limit(which, limits)

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    raise_descriptor_limit()

    assert limit()[0] == min(10240, hard)


BEGIN = """
import asyncio, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
asyncio.run = lambda work: work.close()
"""
PLATFORM = """
from perijove_platform.server import serve
from perijove_platform.settings import Settings
serve(Settings(data_dir=Path(sys.argv[1])))
"""
AGENT = """
from perijove_platform.agent.__main__ import main
main()
"""
END = "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"


@pytest.mark.parametrize("program", [PLATFORM, AGENT], ids=["platform", "agent"])
def test_a_program_raises_its_limit_when_it_starts(program: str, hard: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEGIN + program + END, str(tmp_path)]

    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert shown.stdout.splitlines()[-1:] == [str(most(hard))], shown.stderr
