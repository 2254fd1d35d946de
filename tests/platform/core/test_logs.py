"""The platform's own log: bounded where it is a file of ours, written by a thread, complete at the end."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

PROLOGUE = """
    import atexit, logging, sys
    from pathlib import Path
    from perijove_platform import logs
    log = logging.getLogger("probe")
"""


def run(source: str, *, errors: Path, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    with errors.open("ab") as sink:
        command = [sys.executable, "-c", textwrap.dedent(PROLOGUE) + textwrap.dedent(source), *arguments]
        return subprocess.run(command, stdout=sink, stderr=sink, timeout=60, check=True)


def numbers(*paths: Path) -> list[int]:
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [int(line.rpartition(" ")[2]) for line in lines if " number " in line]


def test_a_log_of_ours_is_bounded_while_it_is_written(tmp_path: Path) -> None:
    source = """
        logs.MAX_FILE_BYTES = 20_000
        atexit.register(print, "printed at last", flush=True)
        logs.configure_logging("text", Path(sys.argv[1]))
        for number in range(2000):
            log.info("number %d", number)
    """
    path = tmp_path / "platform.log"
    run(source, errors=path, arguments=[str(path)])
    older = tmp_path / "platform.log.1"
    assert sorted(tmp_path.iterdir()) == [path, older]
    assert max(path.stat().st_size, older.stat().st_size) <= 20_000 + len("printed at last\n")
    kept = numbers(older, path)
    assert kept == list(range(kept[0], 2000)), "a record is missing, doubled or out of order"
    assert path.read_text().endswith("printed at last\n"), "standard output went on in the old file"


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    source = """
        logs.MAX_FILE_BYTES = 1000
        logs.configure_logging("text", Path(sys.argv[1]))
        for number in range(200):
            log.info("number %d", number)
    """
    path = tmp_path / "of-the-user.log"
    run(source, errors=path, arguments=[str(tmp_path / "platform.log")])
    assert numbers(path) == list(range(200))
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_logs_does_not_wait_for_the_writer(tmp_path: Path) -> None:
    """Standard error is a pipe that nobody reads until everything has been logged."""
    source = """
        logs.configure_logging("text")
        for number in range(logs._MAX_WAITING * 2):
            log.info("number %d", number)
        print("logged", flush=True)
        sys.stdin.readline()
        log.info("number 1000000")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROLOGUE) + textwrap.dedent(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdin is not None and process.stderr is not None
        assert process.stdout.readline() == "logged\n"
        first = process.stderr.readline()
        assert "number 0" in first
        while "number 9000" not in process.stderr.readline():
            pass
        _, rest = process.communicate("\n")
    assert "number 1000000" in rest
    assert "log records that were dropped: " in rest


def test_json_lines_carry_exceptions(tmp_path: Path) -> None:
    source = """
        logs.configure_logging("json")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("it failed %s", "badly")
    """
    run(source, errors=tmp_path / "log", arguments=[])
    entry = json.loads((tmp_path / "log").read_text())
    assert (entry["logger"], entry["level"], entry["request_id"]) == ("probe", "ERROR", "-")
    assert entry["message"] == "it failed badly"
    assert "ZeroDivisionError" in entry["exception"]
