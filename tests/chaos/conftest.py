"""A platform to be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from killable_platform import KillablePlatform


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[KillablePlatform]:
    """A started platform with the default models; whatever a test leaves of it is ended."""
    platform = KillablePlatform(tmp_path / "data")
    platform.start()
    try:
        yield platform
    finally:
        platform.stop()
    assert platform.children() == []
