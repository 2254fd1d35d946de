"""What batch jobs need of the files manager."""

from typing import Protocol

from perijove_platform.rbac import Caller


class InputFiles(Protocol):
    """The files manager."""

    async def key_of(self, caller: Caller, file_id: str) -> str:
        """Where the file lies in the object store. Raises `errors.NotFound` when the project has no such file."""
        ...
