"""Where the bytes of files, parts and checkpoints lie: a folder, or S3."""

from perijove_platform.objects.base import Chunk, Found, ObjectMissing, ObjectStore, Stored
from perijove_platform.objects.opened import open_store

__all__ = ["Chunk", "Found", "ObjectMissing", "ObjectStore", "Stored", "open_store"]
