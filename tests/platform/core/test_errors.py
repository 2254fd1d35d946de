"""Every failure has OpenAI's envelope and a request id."""

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform.errors import field_path


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "param"),
    [
        ("GET", "/v1/nothing", b"", 404, "unknown_url", None),
        ("PUT", "/v1/me", b"", 405, "method_not_allowed", None),
        ("POST", "/v1/api_keys", b"{", 400, "invalid_json", None),
        ("POST", "/v1/api_keys", b"", 400, "missing_required_parameter", None),
        ("POST", "/v1/api_keys", b"{}", 400, "missing_required_parameter", "name"),
        ("POST", "/v1/api_keys", b'{"name": "x", "nmae": 1}', 400, "unknown_parameter", "nmae"),
        ("POST", "/v1/api_keys", b'{"name": 3}', 400, "invalid_value", "name"),
        ("GET", "/v1/api_keys?limit=0", b"", 400, "invalid_value", "limit"),
        ("DELETE", "/v1/api_keys/key_none", b"", 404, "not_found", "id"),
    ],
)
async def test_envelope(
    client: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, code: str, param: str | None
) -> None:
    answer = await client.request(method, path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert answer.headers["x-request-id"].startswith("req_")


async def test_an_unforeseen_failure_hides_its_cause_and_has_a_request_id(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(app.state, "users", property(fail))
    answer = await client.get("/v1/api_keys", headers={"x-request-id": "mine-1"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "mine-1" in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"] == "mine-1"


async def test_a_forged_request_id_is_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/me", headers={"x-request-id": "a b"})
    assert answer.headers["x-request-id"].startswith("req_")


def test_field_path_leaves_out_what_the_client_never_wrote() -> None:
    assert field_path(("body", "messages", 2, "ChatMessage", "content")) == "messages[2].content"
