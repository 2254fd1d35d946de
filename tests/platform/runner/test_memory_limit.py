"""A program that takes more memory than its container has: killed by the real kernel, explained by the runner."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.ids import new_id
from perijove_platform.runner.contract import ExitCode
from pod_platform import PodPlatform

LIMIT = 150 << 20


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of this machine with `LIMIT` bytes of memory, of whichever version there is."""
    root = Path("/sys/fs/cgroup")
    one, two = root / "memory", root / "cgroup.controllers"
    parent, limit = (root, "memory.max") if two.exists() else (one, "memory.limit_in_bytes")
    group = parent / new_id("perijove-test-")
    if not os.access(parent, os.W_OK):
        pytest.skip("only root can make a control group")
    group.mkdir()
    try:
        (group / limit).write_text(str(LIMIT))
        yield group
    finally:
        group.rmdir()


@pytest.mark.parametrize("served", ["folder"], indirect=True, scope="module")
def test_the_limit_and_the_peak_are_told(platform: PodPlatform, script: dict[str, Any], small_group: Path) -> None:
    job = platform.create_job({**script, "hoard_bytes": 5 << 20, "checkpoint_steps": 9})
    enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(small_group / "cgroup.procs")]
    pod = platform.pod(job, before=enter)
    assert pod.wait() == ExitCode.OUT_OF_MEMORY, pod.log()
    platform.tell_exit(job, ExitCode.OUT_OF_MEMORY)
    done = platform.ended(job)
    assert done["error"]["code"] == "out_of_memory"
    assert "ran out of memory (limit 150.0 MiB, peak 150.0 MiB). Use a smaller batch_size" in done["error"]["message"]
