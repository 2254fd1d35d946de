"""A line of 200 MB in a job's log."""

import psutil
from fine_tunes import until
from testbed.layout import PIDS
from world import World

LINE_BYTES = 200 << 20
KEPT_BYTES = 64 * 1024
GROWTH_BYTES = 100 << 20


def test_a_line_of_200_mb_is_kept_by_its_beginning(world: World) -> None:
    process = psutil.Process(int((PIDS / world.hosted.platform.process()).read_text().split()[0]))
    before = process.memory_info().rss
    job = world.create(steps=6, log_line_bytes=LINE_BYTES, hold_at=[3])
    # What the kubelet has rotated away before anybody followed the log, nobody gets.
    until("its log is followed", lambda: "fetching inputs" in world.log(job), seconds=120)
    world.go(job, 0)
    world.reach_step(job, 3, seconds=240)
    world.truth.check()
    assert process.memory_info().rss - before < GROWTH_BYTES
    world.go(job, 3)
    world.reach(job, "succeeded")
    world.truth.check()
    log = world.log(job)
    lines = log.splitlines()
    (place,) = (number for number, line in enumerate(lines) if "x" * 100 in line)
    assert "more bytes of this line are left out" in lines[place]
    assert KEPT_BYTES <= len(lines[place].encode()) < KEPT_BYTES + 1000
    assert lines[place + 1] == "the line after the long one", lines[place + 1 :]
    assert log.count("log of a run from step 0") == 1
    assert process.memory_info().rss - before < GROWTH_BYTES
