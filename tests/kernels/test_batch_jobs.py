"""Batch jobs from cells, on a real platform."""

import time
from collections.abc import Callable
from pathlib import Path

import perijove
import pytest
from IPython.core.interactiveshell import InteractiveShell
from perijove_kernels.batch_jobs import BatchJobFailed
from perijove_platform.discovery import Connection


@pytest.fixture(autouse=True)
def _platform(platform: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERIJOVE_BASE_URL", platform.base_url)
    monkeypatch.setenv("PERIJOVE_API_KEY", platform.api_key)


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_runs_and_shows_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.txt").write_text("juno\n")
    job = perijove.batch_job(
        ["sh", "-c", 'cat in/words.txt; echo "$MOON"'],
        name="reader",
        files={"in/words.txt": tmp_path / "words.txt"},
        environment={"MOON": "io"},
    )
    assert job.state == "succeeded"
    assert job.logs() == "juno\nio\n" and job.logs(tail=1) == "io\n"
    assert repr(job).startswith(f"Batch job reader ({job.id}): succeeded")
    assert "Batch job reader" in capsys.readouterr().out
    assert job.id in [row["id"] for row in perijove.created()]


def test_one_that_fails_says_why() -> None:
    with pytest.raises(BatchJobFailed, match=r"failed. the program ended with exit code 4: <no luck>"):
        perijove.batch_job(["sh", "-c", "echo '<no luck>' >&2; exit 4"])
    job = perijove.batch_job(["false"], wait=False)
    with pytest.raises(BatchJobFailed):
        job.wait(show=False)
    assert job.refresh().state == "failed"
    assert "exit code 1" in job._repr_html_()


def test_what_it_is_and_why_it_waits_is_listed() -> None:
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "perijove")
    holder = perijove.batch_job(["sleep", "600"], completions=2, wait=False)
    waiting = perijove.batch_job(["sh", "-c", "sleep 600", "<b>"], wait=False, priority=-1)
    try:
        # Second for as long as the holder waits, too: for a job of another test, which is ending.
        until(lambda: waiting.refresh().job["queue_position"] == 1)
        rows = {row["id"]: row for row in shell.run_line_magic("perijove", "jobs")}
        assert rows[waiting.id]["what"] == "sh -c sleep 600 <b>"
        assert rows[waiting.id]["place"] == 1 and "waiting for" in rows[waiting.id]["reason"]
        assert rows[holder.id]["result"] == "0 of 2 done"
        assert "1st in the queue" in repr(waiting)
        assert "&lt;b&gt;" in perijove.jobs()._repr_html_()
        holder.pause()
        until(lambda: holder.refresh().state == "paused")
        assert holder.resume().state != "paused"
    finally:
        waiting.cancel()
        holder.cancel()
        shell.run_line_magic("unload_ext", "perijove")


def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(LookupError, match="There is no cluster 'moon'. There is: local"):
        perijove.batch_job(["true"], image="busybox", on="moon", files={"a": "no-such-file"})


def test_cleaning_up_ends_what_still_runs() -> None:
    job = perijove.batch_job(["sleep", "600"], wait=False)
    cleaned = perijove.clean_up()
    assert job.id in [row["id"] for row in cleaned]
    until(lambda: job.refresh().state == "cancelled")
