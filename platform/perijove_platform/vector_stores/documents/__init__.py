"""Documents to plain text that knows where it came from."""

from perijove_platform.vector_stores.documents.base import Document, DocumentError, Section
from perijove_platform.vector_stores.documents.extract import extract

__all__ = ["Document", "DocumentError", "Section", "extract"]
