"""Commands that follow, over streams that end, break and stay away."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from killable_platform import KillablePlatform
from perijove_platform.cli import following, main
from perijove_platform.cli.failures import Failed, Unreachable
from perijove_platform.cli.session import Session

JOB = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "state": "succeeded",
    "state_reason": None,
    "fine_tuned_model": "ft:tiny",
    "progress": None,
}
EXAMPLE = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path by its next script; the last one is used for ever."""

    server: "Server"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.seen.append((url.path, self.headers.get("Last-Event-ID")))
        scripts = self.server.scripts[url.path]
        (scripts.pop(0) if len(scripts) > 1 else scripts[0])(self)

    def log_message(self, *_: object) -> None:
        pass

    def send(self, body: bytes, *, status: int = 200, missing: int = 0) -> None:
        """The body; the connection breaks when there are bytes `missing` at its end."""
        self.send_response(status)
        if missing:
            self.send_header("Content-Length", str(len(body) + missing))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[Answer]] = {}
        self.seen: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def last_event_ids(self) -> list[str | None]:
        return [last_id for path, last_id in self.seen if path == "/v1/events"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("PERIJOVE_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PERIJOVE_API_KEY", "key")
    yield server
    server.shutdown()
    server.server_close()


def stands(last_id: int) -> bytes:
    return f": connected\nid: {last_id}\n\n".encode()


def event(number: int, type: str = "file.created", data: Any = None) -> bytes:
    body = {"id": number, "type": type, "object_id": "ftjob-1", "data": data or {}}
    return f"id: {number}\nevent: {type}\ndata: {json.dumps(body)}\n\n".encode()


def says(body: bytes, **more: Any) -> Answer:
    return lambda handler: handler.send(body, **more)


def says_json(body: Any, **more: Any) -> Answer:
    return says(json.dumps(body).encode(), **more)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("missing", [0, 9], ids=["ends", "breaks"])
def test_a_stream_is_resumed_after_the_last_whole_event(server: Server, missing: int) -> None:
    server.scripts["/v1/events"] = [
        says(stands(5) + event(6) + b'id: 7\nevent: file.created\ndata: {"id": 7, "ty', missing=missing),
        says(stands(6) + event(7)),
        says(stands(7) + event(8)),
    ]
    with following.follow(Session(None, as_json=True)) as events:
        found = [next(events) for _ in range(5)]
    assert [one.get("id", one["type"]) for one in found] == [6, "resumed", 7, "resumed", 8]
    assert server.last_event_ids() == [None, "6", "7"]


@pytest.mark.parametrize("stays", ["ends", "refuses_connections", "is_unavailable"])
def test_a_platform_that_stays_away(server: Server, monkeypatch: pytest.MonkeyPatch, stays: str) -> None:
    monkeypatch.setattr(following, "AWAY_SECONDS", 1.0)
    later = says(b"", status=503) if stays == "is_unavailable" else says(stands(5))
    server.scripts["/v1/events"] = [says(stands(5)), later]
    with pytest.raises(Unreachable) as gave_up:
        with following.follow(Session(None, as_json=True)) as events:
            if stays == "refuses_connections":
                server.shutdown()
                server.server_close()
            while next(events)["type"] == "resumed":
                pass
    # Of the second that it may stay away: on a machine that has much to do, giving up takes longer.
    assert re.search(r"stayed away for [1-9]\d* seconds", gave_up.value.message)
    assert "perijove status" in gave_up.value.message
    # Pauses of 0.25, 0.5 and what is left of the second.
    assert len(server.last_event_ids()) <= 5


def test_a_refusal_is_not_borne(server: Server) -> None:
    refused = says_json({"error": {"message": "This key was revoked."}}, status=401)
    server.scripts["/v1/events"] = [says(stands(5)), refused]
    with pytest.raises(Failed, match="revoked"), following.follow(Session(None, as_json=True)) as events:
        next(events)
    server.scripts["/v1/events"] = [refused]
    with pytest.raises(Failed, match="revoked"), following.follow(Session(None, as_json=True)):
        pass
    assert len(server.last_event_ids()) == 3


def test_events_missed_by_a_job_that_is_followed(server: Server) -> None:
    def told(number: int) -> dict[str, Any]:
        return {"id": f"ftevent-{number}", "job_id": "ftjob-1", "level": "info", "message": f"step {number}"}

    server.scripts = {
        "/v1/events": [
            says(stands(5) + event(6, "fine_tuning.job.event", told(1)) + event(7, "fine_tuning.job.event", told(2))),
            says(stands(7) + event(8, "reset")),
        ],
        "/v1/fine_tuning/jobs/ftjob-1": [says_json({**JOB, "state": "running"}), says_json(JOB)],
        "/v1/fine_tuning/jobs/ftjob-1/events": [
            says_json({"data": [told(1)], "has_more": False, "last_id": "ftevent-1"}),
            says_json({"data": [told(3)], "has_more": False, "last_id": "ftevent-3"}),
        ],
    }
    followed = run("jobs", "events", "-f", "ftjob-1")
    assert followed.exit_code == 0, followed.output
    assert followed.stdout.splitlines() == [*(f"info  step {n}" for n in (1, 2, 3)), "ftjob-1 succeeded ft:tiny"]
    assert followed.stderr == "The platform was lost; trying again for up to 120 seconds.\n"


def test_what_the_command_says_when_it_gives_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AWAY_SECONDS", 0.5)
    server.scripts = {
        "/v1/events": [says(stands(5)), says(b"", status=503)],
        "/v1/fine_tuning/jobs/ftjob-1": [says_json({**JOB, "state": "running"})],
        "/v1/fine_tuning/jobs/ftjob-1/events": [says_json({"data": [], "has_more": False, "last_id": None})],
    }
    result = run("jobs", "events", "-f", "ftjob-1", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stderr)["error"]["code"] == "no_platform"


class Log:
    """A log that grows, and connections to it that break off."""

    def __init__(self, kept: bytes) -> None:
        self.kept = kept

    def breaks_after(self, count: int, *, then: bytes) -> Answer:
        def answer(handler: Handler) -> None:
            handler.send(self.kept[:count], missing=1)
            self.kept = then

        return answer

    def whole(self, handler: Handler) -> None:
        assert handler.query.keys() <= {"follow", "tail", "tail_bytes"}
        handler.send(self.kept[-int(handler.query.get("tail_bytes", len(self.kept))) :])


def _followed_log(server: Server, log: Log, *answers: Answer) -> list[str]:
    server.scripts = {
        "/v1/events": [says(stands(5))],
        "/v1/fine_tuning/jobs/ftjob-1": [says_json(JOB)],
        "/v1/fine_tuning/jobs/ftjob-1/logs": [*answers, log.whole],
    }
    followed = run("jobs", "logs", "-f", "ftjob-1", "--json")
    assert followed.exit_code == 0, followed.output
    return [json.loads(line)["line"] for line in followed.stdout.splitlines()]


def test_a_log_goes_on_where_it_broke(server: Server) -> None:
    written = [f"step {number}: größer" for number in range(2000)]
    text = "\n".join(written).encode()
    log = Log(text[:20_000])
    in_a_letter = text.index("ö".encode(), 15_000) + 1
    breaks = [log.breaks_after(in_a_letter, then=text[:30_000]), log.whole, log.breaks_after(29_999, then=text)]
    assert _followed_log(server, log, *breaks) == written


def test_a_log_that_has_moved_on_too_far(server: Server) -> None:
    log = Log(b"one\ntwo\n")
    lines = _followed_log(server, log, log.breaks_after(8, then=b"eight\nnine\n"))
    assert [line for line in lines if line] == [
        "one",
        "two",
        "[the connection was lost; a part of the log may be missing here]",
        "eight",
        "nine",
    ]


@pytest.fixture
def restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KillablePlatform]:
    monkeypatch.setenv("PERIJOVE_MAX_RUNNING_JOBS", "0")
    monkeypatch.setenv("PERIJOVE_DATA_DIR", str(tmp_path / "data"))
    platform = KillablePlatform(tmp_path / "data")
    platform.start()
    yield platform
    platform.stop()


def test_a_job_is_followed_over_a_restart_on_another_port(restarted: KillablePlatform) -> None:
    file = restarted.upload("train.jsonl", "\n".join([json.dumps(EXAMPLE)] * 10).encode(), "fine-tune")
    body = {"model": "SmolLM2-135M-Instruct", "training_file": file["id"]}
    job = restarted.post("/v1/fine_tuning/jobs", body)
    commands = [["events", "-f", "--json"], ["events", "-f"]]
    pipe = subprocess.PIPE
    followers = [
        subprocess.Popen(
            [sys.executable, "-m", "perijove_platform", "jobs", *command, job["id"]],
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        for command in commands
    ]
    for follower in followers:
        assert follower.stdout is not None
        assert "Created" in follower.stdout.readline()
    restarted.restart()
    restarted.post(f"/v1/fine_tuning/jobs/{job['id']}/cancel")
    (as_json, _), (as_text, said) = [follower.communicate(timeout=120) for follower in followers]
    assert [follower.returncode for follower in followers] == [1, 1]
    ended = json.loads(as_json.splitlines()[-1])
    assert (ended["id"], ended["state"]) == (job["id"], "cancelled")
    listed = restarted.get(f"/v1/fine_tuning/jobs/{job['id']}/events")["data"]
    shown = [json.loads(line)["id"] for line in as_json.splitlines()[:-1]]
    assert [listed[-1]["id"], *shown] == [event["id"] for event in reversed(listed)]
    assert f"{job['id']} cancelled" in as_text.splitlines()[-1]
    assert "The platform was lost" in said
