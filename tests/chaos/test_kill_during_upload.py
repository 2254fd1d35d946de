"""The platform is killed while content arrives: what was acknowledged stays, the rest leaves nothing."""

import threading
from collections.abc import Iterator

import httpx
import pytest
from killable_platform import EventLog, KillablePlatform, eventually

pytestmark = pytest.mark.timeout(420)
PIECE = b"Io Europa Ganymede Callisto\n" * 2341
PART = PIECE * 8


class HeldBody:
    """A body whose end is held back until the test lets go."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.sent = threading.Event()
        self.go = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        # More than the platform collects before it writes.
        for _ in range(200):
            yield PIECE
        self.sent.set()
        self.go.wait(60)


def form(field: str, filename: str = "big.txt") -> bytes:
    purpose = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n' if field == "file" else b""
    return purpose + f'--B\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n\r\n'.encode()


def send_held(platform: KillablePlatform, path: str, field: str) -> tuple[HeldBody, threading.Thread, list[Exception]]:
    body, failures = HeldBody(form(field)), []

    def send() -> None:
        try:
            platform.client.post(
                path, content=iter(body), headers={"Content-Type": "multipart/form-data; boundary=B"}, timeout=90
            )
        except httpx.HTTPError as error:
            failures.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert body.sent.wait(60)
    return body, thread, failures


def unfinished(platform: KillablePlatform) -> set[str]:
    return {key for key in platform.objects() if key.startswith(".unfinished/")}


def test_a_file_is_whole_or_not_there(killable: KillablePlatform) -> None:
    events = EventLog(killable)
    kept = killable.upload("kept.txt", PIECE)
    body, sending, failures = send_held(killable, "/v1/files", "file")
    eventually(lambda: unfinished(killable), what="a half-written object")
    killable.kill()
    body.go.set()
    sending.join(60)
    assert failures, "the client was told nothing of the failure"
    killable.start()
    events.resume()
    assert [file["id"] for file in killable.get("/v1/files")["data"]] == [kept["id"]]
    assert killable.client.get(f"/v1/files/{kept['id']}/content").content == PIECE
    again = killable.upload("big.txt", PIECE * 200)
    assert again["bytes"] == len(PIECE) * 200
    killable.check_rest()
    events.check_nothing_lost()
    assert [event["object_id"] for event in events.seen] == [kept["id"], again["id"]]


def send_part(platform: KillablePlatform, upload_id: str, offset: int) -> str:
    answer = platform.client.post(
        f"/v1/uploads/{upload_id}/parts", files={"offset": (None, str(offset)), "data": ("part", PART)}
    )
    assert answer.is_success, answer.text
    part_id: str = answer.json()["id"]
    return part_id


def test_acknowledged_parts_are_kept_and_the_upload_is_completed(killable: KillablePlatform) -> None:
    announced = {"filename": "big.txt", "purpose": "user_data", "bytes": 3 * len(PART), "mime_type": "text/plain"}
    upload = killable.post("/v1/uploads", announced)
    parts = [send_part(killable, upload["id"], 0), send_part(killable, upload["id"], len(PART))]
    body, sending, failures = send_held(killable, f"/v1/uploads/{upload['id']}/parts", "data")
    eventually(lambda: unfinished(killable), what="a half-written part")
    killable.kill()
    body.go.set()
    sending.join(60)
    assert failures
    killable.start()
    received = killable.get(f"/v1/uploads/{upload['id']}")
    assert received["status"] == "pending"
    assert [(part["id"], part["offset"]) for part in received["parts"]] == [(parts[0], 0), (parts[1], len(PART))]
    assert killable.objects() == {f"uploads/proj-local/{upload['id']}/{part}" for part in parts}
    parts.append(send_part(killable, upload["id"], 2 * len(PART)))
    completed = killable.post(f"/v1/uploads/{upload['id']}/complete", {"part_ids": parts})
    assert killable.client.get(f"/v1/files/{completed['file']['id']}/content").content == PART * 3
    killable.check_rest()
    assert killable.objects() == {f"files/proj-local/{completed['file']['id']}"}
