"""Sends hostile requests to every route of the OpenAPI document and remembers which were answered wrongly."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
from perijove_platform.openapi import document

ANSWER_SECONDS = 60.0
HUB_AWAY = 503
"""What a pull is answered: the address of the hub is a closed port."""
ENDLESS = {"/v1/events"}
"""Streams without end, which a client without a socket cannot leave: they are sent only what must be refused."""


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
                schema = content["application/json"]["schema"]
                # A body that may be left out is one of two: its own schema or null.
                reference = next(each["$ref"] for each in [schema, *schema.get("anyOf", ())] if "$ref" in each)
                yield method, path, reference.rpartition("/")[2]

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

    def filled(self, example: dict[str, Any]) -> dict[str, Any]:
        """The example with the ids of what there is to aim at."""
        text = json.dumps(example)
        for name, value in self.ids.items():
            text = text.replace("{" + name + "}", value)
        found: dict[str, Any] = json.loads(text)
        return found

    async def send(self, method: str, url: str, **request: Any) -> None:
        self.sent += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self.client.request(method, url, **request)
            fault = find_fault(answer)
        except Exception as error:
            fault = f"{type(error).__name__} {error}"
        if fault is not None:
            self.wrong.append(f"{method} {url[:120]} {str(request)[:400]}: {fault}")

    async def send_json(self, method: str, path: str, body: Any) -> None:
        await self.send(method, self.url(path), content=json.dumps(body), headers={"Content-Type": "application/json"})

    def check(self) -> None:
        assert self.sent > 0
        assert not self.wrong, f"{len(self.wrong)} of {self.sent}:\n" + "\n".join(self.wrong[:40])


def find_fault(answer: httpx.Response) -> str | None:
    """What is wrong with an answer, whatever was asked."""
    if "x-request-id" not in answer.headers:
        return "no x-request-id"
    if answer.status_code < 400:
        return None
    if answer.status_code >= 500 and not (answer.status_code == HUB_AWAY and answer.request.url.path == "/v1/models"):
        return f"a failure of ours: {answer.status_code} {answer.text[:300]}"
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return f"no envelope: {answer.status_code} {answer.text[:300]}"
    if set(error) != {"message", "type", "param", "code"}:
        return f"another envelope: {error}"
    if not error["message"] or not error["type"]:
        return f"an envelope that says nothing: {error}"
    return None
