"""The pass-through of a real Jupyter server to a real platform elsewhere."""

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

KEY = "platform-key"


@pytest.fixture(scope="module")
def jupyter(start_jupyter, tmp_path_factory) -> Iterator:
    program = str(Path(__file__).with_name("upstream.py"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, descriptor = listening.getsockname()[1], listening.fileno()
        upstream = subprocess.Popen([sys.executable, program, str(descriptor)], pass_fds=[descriptor])
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text(KEY + "\n")
    try:
        jupyter = start_jupyter(platform_url=f"http://127.0.0.1:{port}/", api_key_file=str(key))
        jupyter.until("ready")
        yield jupyter
    finally:
        upstream.terminate()
        upstream.wait(timeout=60)


def test_status_of_a_platform_elsewhere(jupyter) -> None:
    status = jupyter.status()
    assert (status["state"], status["embedded"], status["version"]) == ("ready", False, "9.9")
    answer = jupyter.http.post("perijove/restart")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "not_restartable"


def test_headers_and_address(jupyter) -> None:
    sent = {"Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "Last-Event-ID": "7", "X-XSRFToken": "x"}
    answer = jupyter.http.get("perijove/api/v1/echo/a%2Fb%20c?after=x%26y&token=jupyter-token&_xsrf=1", headers=sent)
    assert answer.status_code == 201
    shown = answer.json()
    assert shown["raw_path"] == "/v1/echo/a%2Fb%20c"
    assert shown["query"] == "after=x%26y"
    assert shown["headers"]["authorization"] == f"Bearer {KEY}"
    assert shown["headers"]["last-event-id"] == "7"
    assert not shown["headers"].keys() & {"cookie", "x-forwarded-for", "x-xsrftoken", "origin", "referer"}
    assert "jupyter-token" not in answer.text
    assert shown["headers"]["host"].startswith("127.0.0.1:")
    assert answer.headers["x-request-id"] == "req-1"
    assert "stolen" not in answer.headers.get("set-cookie", "")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert KEY not in str(answer.headers)


def test_a_large_body_is_streamed(jupyter) -> None:
    block = bytes(range(256)) * 4096
    digest = hashlib.sha256(block * 24).hexdigest()
    shown = jupyter.http.post("perijove/api/v1/echo/up", content=(block for _ in range(24))).json()
    assert (shown["size"], shown["sha256"]) == (len(block) * 24, digest)
    shown = jupyter.http.post("perijove/api/v1/echo/up", content=block * 24).json()
    assert (shown["size"], shown["sha256"]) == (len(block) * 24, digest)
    assert shown["headers"]["content-length"] == str(len(block) * 24)


def test_events_come_as_they_happen_and_end_when_the_reader_leaves(jupyter) -> None:
    with jupyter.http.stream("GET", "perijove/api/v1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        chunks = answer.iter_raw()
        assert next(chunks) == b": hello\n\nid: 1\ndata: one\n\n"
        assert jupyter.http.post("perijove/api/v1/release").status_code == 204
        assert next(chunks) == b"id: 2\ndata: two\n\n"
    deadline = time.monotonic() + 60
    while jupyter.http.get("perijove/api/v1/gone").json() != ["events"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_answer_that_breaks_off_does_not_look_whole(jupyter) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        jupyter.http.get("perijove/api/v1/broken")


def test_dot_segments_are_refused(jupyter) -> None:
    for _ in range(20):
        answer = jupyter.http.get("perijove/api/%2e%2e/secret")
        assert answer.status_code == 404
        assert "connection" not in answer.headers
    assert jupyter.http.request("PROPFIND", "perijove/api/v1/echo/x").status_code == 405


def test_nobody_comes_in_without_jupyters_leave(jupyter) -> None:
    for method, path in [("GET", "api/v1/echo/x"), ("POST", "api/v1/echo/x"), ("GET", "status"), ("POST", "restart")]:
        answer = httpx.request(method, f"{jupyter.root}perijove/{path}")
        assert answer.status_code == 403, (method, path)


def test_a_cookie_needs_the_xsrf_token_to_change_things(jupyter) -> None:
    with httpx.Client(base_url=jupyter.root, timeout=30) as browser:
        page = browser.get("tree?token=jupyter-token", follow_redirects=False)
        assert page.cookies
        # The XSRF cookie is set by the login page.
        browser.get("login?next=%2Fuser%2Fx%2540y%2Fapi")
        assert browser.get("perijove/api/v1/echo/x").status_code == 201
        assert browser.post("perijove/api/v1/echo/x", content=b"1").status_code == 403
        assert browser.post("perijove/restart").status_code == 403
        token = browser.cookies["_xsrf"]
        answer = browser.post("perijove/api/v1/echo/x", content=b"1", headers={"X-XSRFToken": token})
        assert answer.status_code == 201
        assert "_xsrf" not in str(answer.json())


def test_following_events_is_not_activity(jupyter) -> None:
    jupyter.http.get("perijove/api/v1/echo/x")
    before = jupyter.http.get("api/status").json()["last_activity"]
    for path in ("status", "api/v1/echo/jobs/1/events", "api/v1/echo/jobs/1/logs"):
        jupyter.http.get(f"perijove/{path}")
    after = jupyter.http.get("api/status").json()["last_activity"]
    jupyter.http.get("perijove/api/v1/echo/x")
    # `api/status` itself does not count either.
    assert before == after < jupyter.http.get("api/status").json()["last_activity"]


def test_a_platform_that_is_away(start_jupyter) -> None:
    jupyter = start_jupyter({"PERIJOVE_API_KEY": "k"}, platform_url="http://127.0.0.1:9")
    status = jupyter.status()
    assert status["state"] == "unreachable"
    assert status["remedy"]
    for _ in range(20):
        # The answer survives the body that nobody reads, and the connection is not closed behind the client's back.
        answer = jupyter.http.post("perijove/api/v1/files", content=b"x" * 5_000_000)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "platform_unreachable"
        assert jupyter.http.get("perijove/api/v1/files").status_code == 503
    jupyter.stop()
