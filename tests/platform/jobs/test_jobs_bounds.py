"""What a long run leaves in the tables stays bounded."""

from typing import Any

import pytest
from perijove_platform.fine_tuning import kind
from perijove_platform.jobs import journal


async def test_only_the_newest_events_and_checkpoints_are_kept(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEPT_EVENTS", 5)
    monkeypatch.setattr(kind, "KEPT_CHECKPOINTS", 3)
    monkeypatch.setattr(journal, "_PRUNE_EVERY", 1)
    world.script["steps"] = 20
    jobs = world.client().fine_tuning.jobs
    job = await jobs.create(model="smollm2", training_file="file-train")
    await world.until(job.id, lambda job: job.state == "succeeded")
    steps = [point.step_number async for point in jobs.checkpoints.list(job.id)]
    assert steps == [20, 19, 18]
    events = [event async for event in jobs.list_events(job.id)]
    assert events[0].message == "The job has successfully completed"
    assert len(events) <= 10 and "Created" not in events[-1].message
