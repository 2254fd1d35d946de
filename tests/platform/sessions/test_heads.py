"""What the proxy knows of HTTP and of Kubernetes' API."""

import pytest
from perijove_platform.sessions.kubernetes import answer_head, verb_of, warning


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", "/api/v1/namespaces/x/pods", b"", "list"),
        ("GET", "/api/v1/namespaces/x/pods", b"watch=1", "watch"),
        ("GET", "/api/v1/namespaces/x/pods", b"watch=false", "list"),
        ("GET", "/api/v1/pods", b"watch=", "watch"),
        ("GET", "/api/v1/namespaces", b"", "list"),
        ("GET", "/api/v1/namespaces/x", b"", "get"),
        ("PUT", "/api/v1/namespaces/x/finalize", b"", "update"),
        ("GET", "/api/v1/namespaces/x/pods/y/log", b"follow=true", "get"),
        ("POST", "/api/v1/namespaces/x/pods/y/exec", b"command=sh", "create"),
        ("DELETE", "/apis/batch/v1/namespaces/x/jobs", b"", "deletecollection"),
        ("DELETE", "/apis/batch/v1/namespaces/x/jobs/y", b"", "delete"),
        ("PATCH", "/apis/batch/v1/namespaces/x/jobs/y", b"", "patch"),
        ("GET", "/apis/batch/v1", b"", "get"),
        ("GET", "/api", b"", "get"),
        ("GET", "/version", b"", "get"),
        ("GET", "/", b"", "get"),
        ("POST", "/nowhere", b"", "post"),
    ],
)
def test_verbs(method: str, path: str, query: bytes, verb: str) -> None:
    assert verb_of(method, path, query) == verb


def test_what_an_agent_passes_on_is_an_answer_or_refused() -> None:
    good = {"status": 200, "headers": [["x-a", "b"], ["x-c", "\xe9"]]}
    assert answer_head(good, upgrade=False) == (200, [("x-a", "b"), ("x-c", "\xe9")])
    assert answer_head({"status": 101, "headers": []}, upgrade=True) == (101, [])
    bad: list[tuple[object, object]] = [(101, []), (None, []), ("200", []), (99, []), (200, {}), (200, [["a"]])]
    bad += [
        (200, [["upgrade", "x\r\nset-cookie: y"]]),
        (200, [["a b", "c"]]),
        (200, [["a", "\u20ac"]]),
        (200, [[1, 2]]),
    ]
    for status, headers in bad:
        with pytest.raises(ValueError, match="it|header"):
            answer_head({"status": status, "headers": headers}, upgrade=False)


def test_a_warning_is_one_header_whatever_an_agent_says() -> None:
    assert warning('a "b"\r\nc: ü\\') == b'299 - "a \\"b\\"??c: ?\\\\"'
