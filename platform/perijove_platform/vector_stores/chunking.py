"""Cutting a document into overlapping pieces of bounded token counts.

Tokens are those of the built-in tokenizer (`embeddings.tokens`), so a count is the same whatever model embeds.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from perijove_platform.embeddings.tokens import tokenizer
from perijove_platform.vector_stores.documents import Document, DocumentError
from perijove_platform.vector_stores.documents.base import Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUTO_SIZE = 800
AUTO_OVERLAP = 400
MAX_TOKENS = 5_000_000
_BLOCK = 16_384
_SEPARATOR = "\n\n"
_BOUNDARIES = ("\n\n", "\n", ". ", " ")


@dataclass(frozen=True)
class Chunk:
    """A piece of a document.

    Attributes:
        unit: what `start` and `end` count.
        start: where the piece starts in the document, from 1.
        end: where it ends, inclusive.
    """

    text: str
    tokens: int
    unit: Unit
    start: int
    end: int


def chunked(document: Document, *, size: int = AUTO_SIZE, overlap: int = AUTO_OVERLAP) -> list[Chunk]:
    """Pieces of at most `size` tokens, of which neighbours share about `overlap`.

    A piece ends at a paragraph, else a line, a sentence or a word if one ends in its last quarter, which keeps it at
    least three quarters full; since the overlap is at most half, each piece reaches further than the one before.

    Raises:
        DocumentError: over 5,000,000 tokens, OpenAI's limit for a file.
    """
    texts = [section.text for section in document.sections]
    text = _SEPARATOR.join(texts)
    lengths = (len(part) + len(_SEPARATOR) for part in texts)
    starts = list(accumulate(lengths, initial=0))[:-1]
    places = _Places(document, text, starts)
    spans = _token_spans(text)
    chunks = []
    for first, last in _windows(text, spans, size, overlap):
        begin, end = int(spans[first][0]), int(spans[last - 1][1])
        piece = text[begin:end]
        if piece.strip():
            begin += len(piece) - len(piece.lstrip())
            end -= len(piece) - len(piece.rstrip())
            chunks.append(Chunk(text[begin:end], last - first, document.unit, places.of(begin), places.of(end - 1)))
    return chunks


def _token_spans(text: str) -> "NDArray[np.int64]":
    """Where each token lies in `text`: shape (tokens, 2), character offsets."""
    import numpy as np

    parts = []
    count = 0
    for begin, end in pairwise(_blocks(text)):
        offsets = tokenizer().encode(text[begin:end], add_special_tokens=False).offsets
        parts.append(np.asarray(offsets, dtype=np.int64).reshape(-1, 2) + begin)
        count += len(offsets)
        if count > MAX_TOKENS:
            raise DocumentError(
                "invalid_file", f"The document has over {MAX_TOKENS:,} tokens. Split it into several files."
            )
    return np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)


def _blocks(text: str) -> Iterator[int]:
    """Cuts of `text` at line or word ends about every 16,384 characters: memory and time per call stay bounded."""
    position = 0
    yield position
    while position < len(text):
        end = position + _BLOCK
        if end < len(text):
            cut = max(text.rfind("\n", position, end), text.rfind(" ", position, end))
            end = cut if cut > position else end
        position = min(end, len(text))
        yield position


def _windows(text: str, spans: "NDArray[np.int64]", size: int, overlap: int) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(spans):
        last = min(first + size, len(spans))
        if last == len(spans):
            yield first, last
            return
        last = _natural_end(text, spans, last, size // 4)
        yield first, last
        first = last - overlap


def _natural_end(text: str, spans: "NDArray[np.int64]", last: int, slack: int) -> int:
    """The token after which to cut: at most `slack` before `last`."""
    begin, end = int(spans[last - slack][0]), int(spans[last - 1][1])
    for boundary in _BOUNDARIES:
        cut = text.rfind(boundary, begin, end)
        if cut >= 0:
            tail_ends = spans[last - slack : last, 1]
            return last - slack + bisect_right(tail_ends, cut + len(boundary.rstrip(" ")))
    return last


class _Places:
    """Where in its document a character lies, in the document's unit."""

    def __init__(self, document: Document, text: str, starts: Sequence[int]) -> None:
        self._document = document
        self._starts = starts
        self._line_ends = [match.start() for match in re.finditer("\n", text)] if document.unit == "line" else []

    def of(self, offset: int) -> int:
        index = bisect_right(self._starts, offset) - 1
        section = self._document.sections[index]
        line_ends_before = bisect_left(self._line_ends, offset) - bisect_left(self._line_ends, self._starts[index])
        return section.start + line_ends_before
