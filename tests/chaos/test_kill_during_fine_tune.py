"""The platform is killed in the middle of a real fine-tune: the job goes on from its checkpoint."""

import json
import re
from typing import Any

import pytest
from killable_platform import EventLog, KillablePlatform, alive, eventually
from perijove_platform.runtimes.local import trainer_environment
from perijove_platform.settings import Settings

EXAMPLES = 8
EPOCHS = 3
RESUMED = re.compile(r"Going on from the checkpoint of step (\d+) of")


@pytest.fixture(scope="module")
def training_environment() -> None:
    """The training stack in the user's cache, installed by the first run on a machine."""
    trainer_environment.install(Settings().cache_dir, print)


def examples() -> bytes:
    lines = []
    for number in range(EXAMPLES):
        question = {"role": "user", "content": f"What is moon {number} of Zorbia called?"}
        lines.append(json.dumps({"messages": [question, {"role": "assistant", "content": f"Quux {number}."}]}))
    return "\n".join(lines).encode()


def chat_model(platform: KillablePlatform) -> str:
    def available() -> str | None:
        chat = [model for model in platform.get("/v1/models")["data"] if model["kind"] == "chat"]
        return next((model["id"] for model in chat if model["state"] in ("available", "loaded")), None)

    return eventually(available, what="a chat model")


@pytest.mark.timeout(420)
def test_a_fine_tune_goes_on_from_its_checkpoint(training_environment: None, killable: KillablePlatform) -> None:
    events = EventLog(killable)
    file = killable.upload("examples.jsonl", examples(), "fine-tune")
    hyperparameters = {"n_epochs": EPOCHS, "batch_size": 2}
    request = {"model": chat_model(killable), "training_file": file["id"], "suffix": "chaos"}
    request["method"] = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
    job = killable.post("/v1/fine_tuning/jobs", request)["id"]

    def one_checkpoint() -> list[Any]:
        found: list[Any] = killable.get(f"/v1/fine_tuning/jobs/{job}/checkpoints")["data"]
        return found

    reached = eventually(one_checkpoint, seconds=180, what="a checkpoint")[0]["step_number"]
    trainers = killable.children()
    assert trainers
    killable.kill()
    eventually(lambda: not any(map(alive, trainers)), what="the end of the orphaned trainer")
    killable.start()
    events.resume()

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = killable.get(f"/v1/fine_tuning/jobs/{job}")
        return found if found["finished_at"] is not None else None

    done = eventually(ended, seconds=200, what="the end of the job")
    assert done["state"] == "succeeded", done["error"]
    said = [event["message"] for event in killable.get(f"/v1/fine_tuning/jobs/{job}/events?limit=1000")["data"]]
    resumed = [int(found[1]) for message in said if (found := RESUMED.match(message))]
    assert len(resumed) == 1
    assert resumed[0] >= reached
    tuned = [model for model in killable.get("/v1/models")["data"] if model["source"]["job"] == job]
    assert [model["id"] for model in tuned] == [done["fine_tuned_model"]]
    results = [file for file in killable.get("/v1/files")["data"] if file["purpose"] == "fine-tune-results"]
    assert [file["id"] for file in results] == done["result_files"]
    assert not any(map(alive, killable.children()))
    killable.check_rest()
    events.check_nothing_lost()
