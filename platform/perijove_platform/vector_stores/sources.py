"""What vector stores need of the files manager."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class SourceFile:
    """A file of a project, as far as indexing is concerned; `bytes` is its size."""

    id: str
    filename: str
    bytes: int


class SourceFiles(Protocol):
    """The files of projects."""

    async def find(self, project_id: str, file_id: str) -> SourceFile | None:
        """The file, or ``None`` when the project has none with that id."""
        ...

    def read(self, project_id: str, file_id: str) -> AsyncIterator[bytes]:
        """Its content, in pieces.

        Raises:
            errors.NotFound: it has been deleted meanwhile.
        """
        ...
