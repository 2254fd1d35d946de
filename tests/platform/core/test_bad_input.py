"""Hostile requests to every route of the OpenAPI document: never a failure of ours, always the envelope."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from perijove_platform.openapi import document

ANSWER_SECONDS = 60.0
OURS_WITH_CAUSE = {501, 502, 503, 507}
ENDLESS = {"/v1/events"}
"""Streams without end, which a client without a socket cannot leave: they are sent only what must be refused."""

BAD_IDS = (
    *("%00", "a%00b", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%2Fb", "%F0%9F%AA%90", "%ff%fe", "%ED%A0%80", "x" * 5000),
    *("%27%20OR%201%3D1--", "%22", "-1", "0", "null", "%20", "%0a", "%5C", "%25", "*", "[]", "file-"),
)
BAD_QUERY = (
    *("", "-1", "0", "1.5", "1e9", "NaN", "9" * 30, "9" * 5000, "%00", "a%00b", "%ff", "%ED%A0%80", "true", "null"),
    *("%F0%9F%AA%90", "x" * 300, "x" * 5000, "%27%3B--", "../..", "[]"),
)
BAD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, float("inf"), float("nan")),
    *("", " ", "\0", "a\0b", "\ud800", "🪐" * 10, "../../etc/passwd", "/dev/zero", "x" * 300, "x" * 100_000, "auto"),
    *([], [None], [[[[]]]], ["a\0b"], ["\ud800"], [{}], {}, {"a": None}, {"": "\0"}, {"a\0": "b\0"}),
    {"\ud800": "\ud800"},
)
VALUES_FOR_ENGINES: tuple[Any, ...] = ("\0", "\ud800", " ", "auto", 0, {"type": "a\0"}, [])
"""Each costs an engine some milliseconds."""
NESTED = 100_000
RAW_BODIES: tuple[bytes, ...] = (
    *(b"", b"{", b"null", b"true", b"3", b'"text"', b"[]", b"\0", b"\xff\xfe{}", b'{"a": "\xff"}', b"{}garbage"),
    b"1e999999",
    *(b"[" * NESTED, b'{"a":' * NESTED, b"[" * NESTED + b"]" * NESTED, b'{"a":' * NESTED + b"1" + b"}" * NESTED),
    *(b"9" * 10_000, b'{"name": ' + b"9" * 10_000 + b"}", b'\xef\xbb\xbf{"a": 1}', "{}".encode("utf-16")),
    b"---\r\n\r\n",
)
CONTENT_TYPES = (
    *("text/plain", "application/xml", "", "\xff", "application/json; charset=utf-16", "application/json; charset=no"),
    *("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 5000),
    *("multipart/form-data; boundary=\xe9", "application/x-www-form-urlencoded"),
)
BAD_HEADERS: tuple[tuple[str, bytes], ...] = (
    *(("Authorization", value) for value in (b"", b"Bearer", b"Bearer ", b"Bearer \xff\xfe", b"Bearer " + b"k" * 9000)),
    *(("Range", value) for value in (b"bytes=" + b"9" * 5000 + b"-", b"bytes=-" + b"9" * 5000, b"bytes=9-1", b"\xff")),
    *(("Content-Length", value) for value in (b"-1", b"9" * 30, b"9" * 5000, b"\xb2", b"x")),
    *(("Last-Event-ID", value) for value in (b"-1", b"x", b"", b"1.5", b"\xb2", b"9" * 5000)),
    *(("X-Request-ID", value) for value in (b"a b", b"\xff", b"x" * 9000)),
    *(("Accept", b"\xff"), ("If-Range", b"\xff"), ("Idempotency-Key", b"\xff" * 500), ("Cookie", b"\xff=\xff")),
)
BOUNDS_OF_AN_ANSWER = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
"""Kept, since without its limit an answer is as long as the model likes."""
DEEP: dict[str, Any] = {}
"""A valid JSON object of moderate depth, which a recursive reader of ours must survive."""
_inner = DEEP
for _ in range(400):
    _inner["items"] = {}
    _inner = _inner["items"]


def deep_filter(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(depth):
        found = {"type": "and", "filters": [found]}
    return found


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}}
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "ApiKeyCreate": [{"name": "n", "scopes": ["files.read"], "expires_in_seconds": 60}],
    "ChatRequest": [
        {
            "model": "chat",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "max_completion_tokens": 1,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "stop": ["x"],
            "logit_bias": {"1": 1},
            "metadata": {"a": "b"},
        },
        {
            "model": "chat",
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": "1"},
            ],
            "max_completion_tokens": 1,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ],
    "CompletionRequest": [{"model": "chat", "prompt": ["Hi"], "max_tokens": 1, "logit_bias": {"1": 1}, "stop": ["x"]}],
    "EmbeddingRequest": [{"model": "wordllama", "input": ["a"], "dimensions": 64}],
    "JobCreate": [
        {
            "model": "chat",
            "training_file": "file-x",
            "suffix": "s",
            "seed": 1,
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}},
            "metadata": {"a": "b"},
        }
    ],
    "ModelCreate": [
        {"id": "bad-input", "source": {"type": "path", "path": "/nowhere.gguf"}},
        {"id": "bad-input", "source": {"type": "hub", "repo": "a/b", "file": "c.gguf", "revision": "main"}},
    ],
    "AliasCreate": [{"alias": "other"}],
    "ResponseRequest": [
        {
            "model": "chat",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            "max_output_tokens": 1,
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
            "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
            "reasoning": {"effort": "low"},
            "metadata": {"a": "b"},
        },
        {
            "model": "chat",
            "input": "Hi",
            "max_output_tokens": 1,
            "tools": [{"type": "file_search", "vector_store_ids": ["{vector_store_id}"], "filters": deep_filter(1)}],
        },
    ],
    "UploadCreate": [
        {
            "filename": "f",
            "purpose": "assistants",
            "bytes": 1,
            "mime_type": "text/plain",
            "expires_after": {"anchor": "created_at", "seconds": 3600},
        }
    ],
    "UploadComplete": [{"part_ids": ["part_x"], "md5": "0" * 32}],
    "VectorStoreCreate": [
        {
            "name": "n",
            "file_ids": ["{file_id}"],
            "metadata": {"a": "b"},
            "expires_after": {"anchor": "last_active_at", "days": 1},
            "chunking_strategy": CHUNKING,
        }
    ],
    "VectorStoreUpdate": [{"name": "n", "metadata": {"a": "b"}}],
    "FileAttach": [{"file_id": "{file_id}", "attributes": {"a": "b"}, "chunking_strategy": CHUNKING}],
    "FileUpdate": [{"attributes": {"a": "b"}}],
    "FileBatchCreate": [
        {"file_ids": ["{file_id}"], "attributes": {"a": "b"}},
        {"files": [{"file_id": "{file_id}", "attributes": {"a": "b"}}]},
    ],
    "SearchRequest": [
        {
            "query": ["q"],
            "filters": {"type": "and", "filters": [{"type": "eq", "key": "a", "value": "b"}]},
            "ranking_options": {"score_threshold": 0.1, "hybrid_search": {"embedding_weight": 1, "text_weight": 1}},
        }
    ],
}
"""A body of each kind that the document names; each of its values is replaced by each of the bad ones."""


class Routes:
    """The OpenAPI document, walked."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = json.loads(document())

    def __iter__(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def json_bodies(self) -> Iterator[tuple[str, str, str]]:
        for method, path, operation in self:
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield method, path, content["application/json"]["schema"]["$ref"].rpartition("/")[2]

    def properties(self, schema: str) -> list[str]:
        return list(self._document["components"]["schemas"][schema]["properties"])


class Attacker:
    """Sends requests and remembers which were answered as they must not be."""

    def __init__(self, client: httpx.AsyncClient, ids: dict[str, str]) -> None:
        self.client = client
        self.ids = ids
        self.wrong: list[str] = []
        self.sent = 0

    def url(self, path: str, **replaced: str) -> str:
        for name, value in (self.ids | replaced).items():
            path = path.replace("{" + name + "}", value)
        return path

    async def send(self, method: str, url: str, **request: Any) -> None:
        self.sent += 1
        what = f"{method} {url[:120]} {str(request)[:400]}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self.client.request(method, url, **request)
        except Exception as error:
            self.wrong.append(f"{what}: {type(error).__name__} {error}")
            return
        fault = find_fault(answer)
        if fault is not None:
            self.wrong.append(f"{what}: {answer.status_code} {fault}")

    async def send_json(self, method: str, path: str, body: Any) -> None:
        text = json.dumps(body)
        for name, value in self.ids.items():
            text = text.replace("{" + name + "}", value)
        await self.send(method, self.url(path), content=text, headers={"Content-Type": "application/json"})

    def check(self) -> None:
        assert self.sent > 0
        assert not self.wrong, f"{len(self.wrong)} of {self.sent}:\n" + "\n".join(self.wrong[:40])


def find_fault(answer: httpx.Response) -> str | None:
    """What is wrong with an answer, whatever was asked."""
    if "x-request-id" not in answer.headers:
        return "no x-request-id"
    if answer.status_code < 400:
        return None
    if answer.status_code >= 500 and answer.status_code not in OURS_WITH_CAUSE:
        return f"a failure of ours: {answer.text[:300]}"
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"no envelope: {answer.text[:300]}"
    if set(error) != {"message", "type", "param", "code"}:
        return f"another envelope: {error}"
    if not error["message"] or not error["type"]:
        return f"an envelope that says nothing: {error}"
    return None


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull that a request happens to begin ends at a closed port."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture
async def attacker(no_hub: None, client: httpx.AsyncClient, smollm2: Path) -> AsyncIterator[Attacker]:
    """With one object of each kind to aim at; afterwards everything can still be listed."""
    model = {"id": "chat", "source": {"type": "path", "path": str(smollm2)}}
    (await client.post("/v1/models", json=model)).raise_for_status()
    form = {"purpose": (None, "user_data"), "file": ("text.txt", b"Saturn has rings.\n")}
    file = (await client.post("/v1/files", files=form)).raise_for_status().json()
    store = (await client.post("/v1/vector_stores", json={"file_ids": [file["id"]]})).raise_for_status().json()
    upload = {"filename": "f", "purpose": "user_data", "bytes": 5, "mime_type": "text/plain"}
    pending = (await client.post("/v1/uploads", json=upload)).raise_for_status().json()
    ids = {
        "file_id": file["id"],
        "vector_store_id": store["id"],
        "upload_id": pending["id"],
        "model": "chat",
        "operation": "completions",
    }
    attacker = Attacker(client, ids)
    yield attacker
    attacker.check()
    for method, path, _ in Routes():
        if method == "GET" and path not in ENDLESS and ("{" not in path or path.endswith("{vector_store_id}/files")):
            answer = await client.get(attacker.url(path))
            assert answer.status_code == 200, f"{path} afterwards: {answer.text[:500]}"


async def test_bad_ids(attacker: Attacker) -> None:
    for method, path, operation in Routes():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                for bad in BAD_IDS:
                    await attacker.send(method, attacker.url(path, **{parameter["name"]: bad}))


async def test_bad_queries(attacker: Attacker) -> None:
    for method, path, operation in Routes():
        if path in ENDLESS or method == "DELETE":
            continue
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                for bad in BAD_QUERY:
                    await attacker.send(method, f"{attacker.url(path)}?{quote(parameter['name'])}={bad}")
        await attacker.send(method, f"{attacker.url(path)}?limit=1&limit=2&after=a&before=b&nonsense=%00")


async def test_bad_headers(attacker: Attacker) -> None:
    for method, path, _ in Routes():
        for name, value in BAD_HEADERS:
            if method == "GET" and (path not in ENDLESS or name in ("Last-Event-ID", "Authorization")):
                await attacker.send(method, attacker.url(path), headers={name: value} if value else {name: ""})
            elif name == "Content-Length" and method == "POST":
                await attacker.send(method, attacker.url(path), content=b"{}", headers={name: value})


async def test_bad_bodies(attacker: Attacker) -> None:
    for method, path, operation in Routes():
        if "requestBody" not in operation:
            continue
        for body in RAW_BODIES:
            await attacker.send(method, attacker.url(path), content=body, headers={"Content-Type": "application/json"})
            await attacker.send(
                method, attacker.url(path), content=body, headers={"Content-Type": "multipart/form-data; boundary=-"}
            )
        for kind in CONTENT_TYPES:
            await attacker.send(
                method, attacker.url(path), content=b"{}", headers={"Content-Type": kind.encode("latin-1")}
            )


async def test_bad_forms(attacker: Attacker) -> None:
    fields = [b"purpose", b"offset", b"expires_after[seconds]", b"expires_after[anchor]", b"expires_after", b"\xff"]
    values = [b"", b"\0", b"\xff", b"9" * 5000, b"-1", b"1e400", b"x" * 100_000, "🪐".encode(), str(2**63).encode()]
    names = [b'"a\0b"', b'"\xff"', b'""', b'"' + b"n" * 5000 + b'"', b'"../../x"', b'"a\\"b', b"*=UTF-8''%00", b"\r"]
    for path, file in (("/v1/files", b"file"), ("/v1/uploads/{upload_id}/parts", b"data")):
        url = attacker.url(path)
        head = b'--B\r\nContent-Disposition: form-data; name="%s"' % file
        for field in fields:
            for value in values:
                part = b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (field, value)
                await send_form(attacker, url, part + head + b'; filename="f"\r\n\r\ntext\r\n--B--\r\n')
        for name in names:
            await send_form(attacker, url, head + b"; filename=" + name + b"\r\n\r\ntext\r\n--B--\r\n")
            purpose = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
            await send_form(attacker, url, purpose + head + b"; filename=" + name + b"\r\n\r\ntext\r\n--B--\r\n")
        await send_form(attacker, url, head + b'; filename="f"\r\n\r\ntext')
        await send_form(attacker, url, b"--B\r\n\r\n\r\n--B--\r\n")
        await send_form(attacker, url, b"--B\r\nX: " + b"y" * 100_000 + b"\r\n\r\ntext\r\n--B--\r\n")
        await send_form(attacker, url, (head + b'; filename="f"\r\n\r\ntext\r\n') * 100 + b"--B--\r\n")


async def send_form(attacker: Attacker, url: str, body: bytes) -> None:
    await attacker.send("POST", url, content=body, headers={"Content-Type": "multipart/form-data; boundary=B"})


def test_every_kind_of_body_has_an_example() -> None:
    assert {schema for _, _, schema in Routes().json_bodies()} == set(EXAMPLES)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("schema", sorted(EXAMPLES))
async def test_bad_values(attacker: Attacker, schema: str) -> None:
    routes = Routes()
    for method, path, name in routes.json_bodies():
        if name != schema:
            continue
        for example in EXAMPLES[schema]:
            await attacker.send_json(method, path, example)
            # What passes the checks of the many would keep an engine busy for minutes.
            unserved = {**example, "model": "absent"} if "model" in example else example
            for body in mutations(unserved, routes.properties(schema), BAD_VALUES):
                await attacker.send_json(method, path, body)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("schema", ["ChatRequest", "CompletionRequest", "EmbeddingRequest", "ResponseRequest"])
async def test_bad_values_for_an_engine(attacker: Attacker, schema: str) -> None:
    """What passes the checks of the schema must be survived by what comes after them."""
    routes = Routes()
    for method, path, name in routes.json_bodies():
        for example in EXAMPLES[schema] if name == schema else []:
            for body in mutations(example, routes.properties(schema), VALUES_FOR_ENGINES):
                await attacker.send_json(method, path, body)


@pytest.mark.parametrize("depth", [30, 400])
async def test_deep_values(attacker: Attacker, depth: int) -> None:
    """What is looked through recursively: filters and schemas."""
    filters = deep_filter(depth)
    await attacker.send_json("POST", "/v1/vector_stores/{vector_store_id}/search", {"query": "q", "filters": filters})
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth // 2):
        schema = {"type": "object", "properties": {"a": schema}}
    chat = EXAMPLES["ChatRequest"][1]
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    for stream in (False, True):
        body = {**chat, "response_format": response_format, "stream": stream, "stream_options": None}
        await attacker.send_json("POST", "/v1/chat/completions", body)
    tool = {"type": "function", "name": "f", "parameters": schema}
    search = {"type": "file_search", "vector_store_ids": [attacker.ids["vector_store_id"]], "filters": filters}
    for tools in ([tool], [search]):
        body = {"model": "chat", "input": "Hi", "max_output_tokens": 1, "tools": tools}
        await attacker.send_json("POST", "/v1/responses", body)


def mutations(example: dict[str, Any], properties: list[str], values: tuple[Any, ...]) -> Iterator[Any]:
    """The example with one thing wrong: each value replaced, left out, or joined by an unknown one."""
    yield from _replaced(example, values)
    for name in properties:
        if name not in example and name not in BOUNDS_OF_AN_ANSWER:
            for bad in (*values, DEEP):
                yield {**example, name: bad}


def _replaced(value: Any, values: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(value, dict):
        yield {**value, "nmae": 1}
        for name, inner in value.items():
            if name in BOUNDS_OF_AN_ANSWER:
                continue
            yield {other: kept for other, kept in value.items() if other != name}
            for bad in (*_replaced(inner, values), *values):
                yield {**value, name: bad}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for bad in (*_replaced(inner, values), *values):
                yield [*value[:index], bad, *value[index + 1 :]]
        yield value * 3000
