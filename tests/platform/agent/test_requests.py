"""What may pass to a kube-apiserver, what is dropped, what is added."""

from typing import Any

import pytest
from perijove_platform.agent.requests import BadTarget, parse


def target(**changes: Any) -> dict[str, Any]:
    return {"method": "GET", "path": "/api", "headers": [], **changes}


def identity(**changes: Any) -> dict[str, Any]:
    return {"as": {"user": "perijove:a", "groups": [], "extra": {}, **changes}}


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "CONNECT"}, {"method": "get"}, {"method": None}, {"method": "GET / HTTP/1.1\r\nx: y"},
        {"path": "https://elsewhere.example/"}, {"path": "//elsewhere.example/"}, {"path": "api"}, {"path": None},
        {"path": "/api\r\nx: y"}, {"path": "/a b"}, {"path": "/api#x"}, {"path": "/ä"}, {"path": "/" + "a" * 70_000},
        {"path": "/api/../metrics"}, {"path": "/api/%2e%2e/metrics"}, {"path": "/api/.%2E/x"},
        {"path": "/a/%252e%252e"},
        {"path": "/api/."}, {"path": "/api/..%2fx"}, {"path": "/api\\..\\x"},
        {"headers": "x"}, {"headers": [["x"]]}, {"headers": [["x", 1]]}, {"headers": [["x y", "1"]]},
        {"headers": [["x", "a\r\nauthorization: Bearer b"]]}, {"headers": [["x", "a\nb"]]}, {"headers": [["x", "a\0"]]},
        {"headers": [["x\r\ny", "1"]]}, {"headers": [["", "1"]]}, {"headers": [["x", "\u20ac"]]},
        {"headers": [["x", "1"]] * 300}, {"headers": [["content-length", "-1"]]},
        {"headers": [["content-length", "1e3"]]},
        {"headers": [["content-length", "1"], ["content-length", "2"]]},
        identity(user="admin"), identity(user="system:admin"), identity(user="perijove:"), identity(user=None),
        identity(user="perijove:a\r\nimpersonate-group: system:masters"), identity(user=" perijove:a"),
        identity(groups=["system:masters"]), identity(groups=["perijove:x", "x"]), identity(groups="perijove:x"),
        identity(extra={"scopes": "x"}), identity(extra={"A": ["x"]}), identity(extra={"": ["x"]}),
        identity(extra={"a": [1]}), identity(extra={"a": ["x\n"]}), identity(uid="1"), {"as": "perijove:a"}, {"as": {}},
    ],
)  # fmt: skip
def test_what_must_not_pass_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadTarget):
        parse(target(**changes))


def test_paths_and_names_pass_as_they_are() -> None:
    path = "/api/v1/namespaces/n/pods/p/exec?command=sh&command=-c&command=a..b%2F..&stdin=true"
    request = parse(
        target(method="POST", path=path, headers=[["X-Stream", "\xe9"]], **identity(extra={"k/e y": ["é"]}))
    )
    assert (request.method, request.path) == ("POST", path)
    assert request.headers == [
        (b"x-stream", b"\xe9"),
        (b"impersonate-user", b"perijove:a"),
        (b"impersonate-extra-k%2Fe%20y", "é".encode()),
    ]
    assert parse(target(path="/apis/a..b/...")).path == "/apis/a..b/..."


def test_an_offer_of_http_2_is_no_upgrade() -> None:
    assert parse(target(headers=[["upgrade", "h2c"]])).upgrade is None
    assert parse(target(headers=[["Upgrade", "SPDY/3.1"]])).upgrade == b"SPDY/3.1"
