"""What the API server's refusals are taken for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from perijove_platform.runtimes.kubernetes.failures import Invalid, ServerFailed, error_of

SENDING = "trying to send message larger than max (2800000 vs. 2097152)"


def status(code: int, message: str, **more: Any) -> bytes:
    """As a kube-apiserver answers."""
    return json.dumps({"kind": "Status", "apiVersion": "v1", "code": code, "message": message, **more}).encode()


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (413, status(413, "Request entity too large: limit is 3145728", reason="RequestEntityTooLarge")),
        (413, b"<html>413 Request Entity Too Large</html>"),
        (500, status(500, "etcdserver: request is too large")),
        (500, status(500, f"rpc error: code = ResourceExhausted desc = {SENDING}")),
    ],
    ids=["server", "proxy", "etcd", "client"],
)
def test_what_is_too_large_stays_so(code: int, body: bytes) -> None:
    assert type(error_of(code, body)) is Invalid


@pytest.mark.parametrize("code", [500, 503])
def test_another_failure_may_pass(code: int) -> None:
    assert type(error_of(code, status(code, "etcdserver: request timed out"))) is ServerFailed
