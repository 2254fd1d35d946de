"""Hostile ids, queries, headers and bodies to every route: never a failure of ours, always the envelope."""

from urllib.parse import quote

import pytest
from attacker import ENDLESS, Attacker, Routes

BAD_IDS = (
    *("%00", "a%00b", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%2Fb", "%F0%9F%AA%90", "%ff%fe", "%ED%A0%80", "x" * 5000),
    *("%27%20OR%201%3D1--", "%22", "-1", "0", "null", "%20", "%0a", "%5C", "%25", "*", "[]", "file-"),
)
BAD_QUERY = (
    *("", "-1", "0", "1.5", "NaN", "9" * 30, "%00", "a%00b", "%ff", "%ED%A0%80", "true", "null"),
    *("x" * 5000, "%27%3B--", "../..", "[]"),
)
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
WITHOUT_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What no database gets to see is sent once."""


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


@WITHOUT_DATABASE
async def test_bad_headers(attacker: Attacker) -> None:
    for method, path, _ in Routes():
        for name, value in BAD_HEADERS:
            if method == "GET" and (path not in ENDLESS or name in ("Last-Event-ID", "Authorization")):
                await attacker.send(method, attacker.url(path), headers={name: value} if value else {name: ""})
            elif name == "Content-Length" and method == "POST":
                await attacker.send(method, attacker.url(path), content=b"{}", headers={name: value})


@WITHOUT_DATABASE
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
