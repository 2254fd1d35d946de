"""A platform and an object store whose certificates a private authority has signed."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from perijove_platform.runner.contract import CA_FILE, RUN_FILE, TOKEN_FILE
from perijove_platform.runner.errors import Away, BadConfig
from perijove_platform.runner.exchange import PlatformClient, download
from perijove_platform.runner.run_config import RunConfig


class Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"attempt": 3}')

    def do_GET(self) -> None:
        self._answer(b"input")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def url(authority: trustme.CA) -> Iterator[str]:
    """Of a server with a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def config(folder: Path, url: str, ca: bytes | None) -> RunConfig:
    run = {"job_id": "ftjob-1", "platform_url": url, "program": "trainer", "config": {}}
    (folder / RUN_FILE).write_text(json.dumps(run))
    (folder / TOKEN_FILE).write_text("pjrun-1\n")
    if ca is not None:
        (folder / CA_FILE).write_bytes(ca)
    return RunConfig.read(folder)


def test_what_the_secret_names_is_believed(tmp_path: Path, authority: trustme.CA, url: str) -> None:
    with pytest.raises(Away, match="CERTIFICATE_VERIFY_FAILED|SSL"):
        PlatformClient(config(tmp_path, url, None)).new_attempt()
    found = PlatformClient(config(tmp_path, url, authority.cert_pem.bytes()))
    assert found.new_attempt() == 3
    download(f"{url}/object", tmp_path / "object", 5, lambda: None)
    assert (tmp_path / "object").read_bytes() == b"input"


@pytest.mark.parametrize(
    "ca", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_named(tmp_path: Path, url: str, ca: bytes) -> None:
    with pytest.raises(BadConfig, match="has no certificates"):
        PlatformClient(config(tmp_path, url, ca))
