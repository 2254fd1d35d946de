"""The platform is killed while documents are indexed: each is finished afterwards, and each passage is there once."""

import os

import pytest
from killable_platform import EventLog, KillablePlatform, eventually

pytestmark = pytest.mark.timeout(420)
DOCUMENTS = 12
PARAGRAPHS = 100
RESULTS = 50
"""More than a document has passages, so that a search within one shows them all."""


def document(number: int) -> bytes:
    """Paragraphs that each begin with a word that occurs nowhere else."""
    filler = "The probe sends its findings about the clouds of the giant planet and their storms. " * 8
    return "\n\n".join(f"marker{number}x{passage} {filler}" for passage in range(PARAGRAPHS)).encode()


def states(platform: KillablePlatform, store_id: str) -> list[str]:
    return [file["status"] for file in platform.get(f"/v1/vector_stores/{store_id}/files?limit=100")["data"]]


def test_every_document_is_finished_and_no_passage_doubled(killable: KillablePlatform) -> None:
    events = EventLog(killable)
    files = [killable.upload(f"{number}.txt", document(number))["id"] for number in range(DOCUMENTS)]
    store = killable.post("/v1/vector_stores", {"name": "moons"})["id"]
    # Without an end until the kill, so that there is something left to do however late that comes.
    last = killable.data_dir / "objects" / "files" / "proj-local" / files[-1]
    kept = last.rename(killable.data_dir / "kept")
    os.mkfifo(last)
    attached = [{"file_id": file_id, "attributes": {"number": number}} for number, file_id in enumerate(files)]
    killable.post(f"/v1/vector_stores/{store}/file_batches", {"files": attached})
    eventually(lambda: states(killable, store).count("completed") >= 2, what="the second document")
    assert "in_progress" in states(killable, store)
    killable.kill()
    kept.replace(last)
    killable.start()
    events.resume()
    eventually(lambda: "in_progress" not in states(killable, store), seconds=180, what="the end of the indexing")
    assert states(killable, store) == ["completed"] * DOCUMENTS
    for number, file_id in enumerate(files):
        only = {"type": "eq", "key": "number", "value": number}
        query = {"query": "storms of the giant planet", "filters": only, "max_num_results": RESULTS}
        found = killable.post(f"/v1/vector_stores/{store}/search", query)["data"]
        assert {result["file_id"] for result in found} == {file_id}
        texts = [part["text"] for result in found for part in result["content"]]
        assert len(texts) < RESULTS, "there may be more"
        assert len(texts) == len(set(texts)), "a passage is there twice"
        whole = " ".join(texts)
        assert all(f"marker{number}x{paragraph} " in whole for paragraph in range(PARAGRAPHS)), "a passage is missing"
    killable.check_rest()
    events.check_nothing_lost()
