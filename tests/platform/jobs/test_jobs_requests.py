"""Requests that cannot be honoured, lists, filters, and other people's jobs."""

from typing import Any

import openai
import pytest
from perijove_platform.fine_tuning.sources import LineError

BODY: dict[str, Any] = {"model": "smollm2", "training_file": "file-train"}


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        ({"model": "gpt-none"}, "model", "gpt-none"),
        ({"training_file": "file-none"}, "training_file", "file-none"),
        ({"validation_file": "file-none"}, "validation_file", "file-none"),
        ({"training_file": "file-assistants"}, "training_file", "purpose 'assistants'"),
        ({"training_file": "file-broken"}, "training_file", "line 3: not JSON; line 9: no assistant"),
        ({"method": {"type": "dpo", "dpo": {}}}, "method.type", "'dpo' is not available"),
        ({"method": {"type": "reinforcement"}}, "method.type", "'reinforcement' is not available"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations", "not available"),
        ({"cluster": "moon"}, "cluster", "Unknown cluster 'moon'"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs", "greater than or equal to 1"),
        ({"hyperparameters": {"warmup": 1}}, "hyperparameters.warmup", "Unknown field"),
        ({"suffix": "a b"}, "suffix", "pattern"),
        ({"seed": -1}, "seed", "greater"),
        ({"metadata": {"k": "v" * 600}}, "metadata", "512"),
        ({"colour": "red"}, "colour", "Unknown field"),
    ],
)
async def test_a_request_that_cannot_be_honoured(world: Any, change: dict[str, Any], param: str, says: str) -> None:
    world.files.add("file-assistants", purpose="assistants")
    world.files.add("file-broken", problems=(LineError(3, "not JSON"), LineError(9, "no assistant")))
    async with world.http() as http:
        response = await http.post("/v1/fine_tuning/jobs", json={**BODY, **change})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param and says in error["message"]
    assert (await world.client().fine_tuning.jobs.list()).data == []


async def test_the_older_place_of_hyperparameters(world: Any) -> None:
    job = await world.client().fine_tuning.jobs.create(**BODY, hyperparameters={"n_epochs": 3, "batch_size": "auto"})
    assert job.hyperparameters.n_epochs == 3
    async with world.http() as http:
        both = {**BODY, "hyperparameters": {}, "method": {"type": "supervised", "supervised": {}}}
        response = await http.post("/v1/fine_tuning/jobs", json=both)
    assert response.status_code == 400


async def test_a_fine_tuned_model_is_no_base(world: Any) -> None:
    jobs = world.client().fine_tuning.jobs
    job = await jobs.create(**BODY)
    done = await world.until(job.id, lambda job: job.state == "succeeded")
    with pytest.raises(openai.BadRequestError, match="Start from its base 'smollm2'"):
        await jobs.create(model=done.fine_tuned_model, training_file="file-train")


async def test_lists_have_pages_and_filters(world: Any) -> None:
    world.script["wait_at"] = 1
    jobs = world.client().fine_tuning.jobs
    ids = [(await jobs.create(**BODY, metadata={"n": str(n), "even": str(n % 2 == 0)})).id for n in range(3)]
    assert [job.id async for job in jobs.list(limit=2)] == ids[::-1]
    first = await jobs.list(limit=2)
    assert first.has_more and [job.id for job in first.data] == ids[:0:-1]
    assert [job.id async for job in jobs.list(extra_query={"metadata[even]": "True"})] == [ids[2], ids[0]]
    assert [job.id async for job in jobs.list(metadata={"n": "1"})] == [ids[1]]
    waiting = await world.until(ids[2], lambda job: job.queue_position == 2)
    assert waiting.state_reason == "waiting for 1 running job and 1 before it"


async def test_another_project_sees_nothing(world: Any) -> None:
    job = await world.client().fine_tuning.jobs.create(**BODY)
    other = world.client("proj-other").fine_tuning.jobs
    assert (await other.list()).data == []
    for call in (other.retrieve, other.cancel, other.pause, other.resume, other.list_events, other.checkpoints.list):
        with pytest.raises(openai.NotFoundError):
            await call(job.id)
    async with world.http("proj-other") as http:
        assert (await http.get(f"/v1/fine_tuning/jobs/{job.id}/logs")).status_code == 404
    await world.until(job.id, lambda job: job.state == "succeeded")


async def test_a_full_queue_is_refused(world: Any) -> None:
    world.script["wait_at"] = 1
    world.service._jobs._max_queued = 1
    await world.client().fine_tuning.jobs.create(**BODY)
    with pytest.raises(openai.RateLimitError, match="cancel them"):
        await world.client().fine_tuning.jobs.create(**BODY)
