"""A platform on each kind of object store, and a small model to train."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pod_platform import OwnS3, PodPlatform
from random_model import write_random_model

SCRIPTED = Path(__file__).with_name("scripted_program.py")


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnS3]:
    """A real S3 server that a test may stop and start."""
    server = OwnS3(tmp_path_factory.mktemp("s3") / "content")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["folder", "s3"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodPlatform]:
    """On each kind of object store, with a scripted trainer."""
    store: OwnS3 | None = request.getfixturevalue("s3_server") if request.param == "s3" else None
    folder = tmp_path_factory.mktemp("platform")
    platform = PodPlatform(folder, store)
    platform.install(SCRIPTED)
    platform.start()
    try:
        platform.add_model(write_random_model(folder / "base.gguf"))
        yield platform
    finally:
        platform.stop()


@pytest.fixture
def platform(served: PodPlatform) -> Iterator[PodPlatform]:
    """Running, whatever the test before has done to it; no pod outlives the test."""
    served.ensure()
    yield served
    served.end_pods()


@pytest.fixture
def script(lora_adapter: Path) -> dict[str, Any]:
    """What the scripted trainer does."""
    return {"steps": 6, "step_seconds": 0.02, "adapter": str(lora_adapter)}
