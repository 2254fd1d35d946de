"""What jobs need of the files and the models managers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.models.schemas import Model
from perijove_platform.rbac import Caller
from perijove_platform.runtimes.base import ModelSpec


@dataclass(frozen=True)
class LineError:
    """What is wrong with one line of a file; lines count from 1."""

    line: int
    message: str


@dataclass(frozen=True)
class TrainingFile:
    """A file as far as a fine-tune is concerned.

    Attributes:
        key: in the object store.
        errors: the first invalid lines; empty when every line is a valid training example.
        examples: valid lines.
    """

    id: str
    purpose: str
    key: str
    errors: Sequence[LineError]
    examples: int


class TrainingFiles(Protocol):
    """The files manager."""

    async def training_file(self, caller: Caller, file_id: str) -> TrainingFile:
        """The file with the result of its validation for fine-tuning.

        Raises:
            errors.NotFound: the project has no such file, or it is not complete.
        """
        ...

    async def add_result(self, caller: Caller, *, file_id: str, filename: str, path: Path) -> None:
        """Keep a copy of `path` as a file with purpose ``fine-tune-results`` under the given id.

        Called again with the same id, it changes nothing.
        """
        ...


class TrainableModels(Protocol):
    """The models manager."""

    async def get(self, caller: Caller, name: str) -> Model: ...

    async def spec(self, caller: Caller, name: str) -> ModelSpec: ...

    async def register_adapter(
        self,
        caller: Caller,
        *,
        name: str,
        base_model: str,
        adapter_path: Path,
        job_id: str,
        session: AsyncSession | None = None,
    ) -> Model: ...
