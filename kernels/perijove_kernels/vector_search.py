"""Vector stores from a cell."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from perijove_kernels.connection import shared_client
from perijove_kernels.files import upload
from perijove_kernels.listings import Listing
from perijove_kernels.platform_events import follow
from perijove_kernels.session import forget, remember


class SearchResults(Listing):
    """Passages with their scores, best first."""

    def _repr_html_(self) -> str:
        parts = [
            f"<p><b>{row['score']:.3f}</b> · {escape(row['filename'])}<br>{escape(row['text'])}</p>"
            for row in self.rows
        ]
        return f"<b>{escape(self.title)}</b>" + ("".join(parts) or "<p>Nothing found.</p>")


class VectorStore:
    """A vector store of the platform."""

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name

    def __repr__(self) -> str:
        return f"VectorStore({self.id!r}, name={self.name!r})"

    def add(self, *documents: str | Path, texts: Mapping[str, str] | None = None) -> "VectorStore":
        """Index files and texts, and wait until all of them can be found.

        Args:
            documents: paths.
            texts: further documents by the name they are shown with.

        Raises:
            RuntimeError: a document could not be indexed; names each and why.
        """
        made = [upload(document, purpose="assistants").id for document in documents]
        for name, text in (texts or {}).items():
            filename = name if "." in name else f"{name}.txt"
            made.append(upload(text.encode(), purpose="assistants", filename=filename).id)
        pending = set(made)
        failed: list[str] = []
        with follow() as events:
            for file_id in made:
                shared_client().vector_stores.files.create(self.id, file_id=file_id)
            for file in self._settled(events, pending):
                if file["status"] != "completed":
                    failed.append(f"{file['id']}: {(file.get('last_error') or {}).get('message', file['status'])}")
        if failed:
            raise RuntimeError("Not indexed: " + "; ".join(failed))
        return self

    def _settled(self, events: Iterable[Mapping[str, Any]], pending: set[str]) -> Iterator[Mapping[str, Any]]:
        """Each pending file once it is no longer in progress."""
        for event in events:
            if event["type"] == "reset":
                for file_id in sorted(pending):
                    file = shared_client().vector_stores.files.retrieve(file_id, vector_store_id=self.id)
                    if file.status != "in_progress":
                        pending.discard(file_id)
                        yield file.model_dump()
            elif event["type"].startswith("vector_store.file."):
                file_data = event["data"]
                mine = file_data.get("vector_store_id") == self.id and file_data.get("id") in pending
                if mine and file_data.get("status") != "in_progress":
                    pending.discard(file_data["id"])
                    yield file_data
            if not pending:
                return

    def search(self, query: str, *, limit: int = 5, filters: Mapping[str, Any] | None = None) -> SearchResults:
        """The passages nearest to `query`, best first, with scores in 0..1.

        Args:
            filters: on the files' attributes, as in OpenAI's API: ``{"type": "eq", "key": "year", "value": 2026}``.
        """
        options: dict[str, Any] = {"filters": filters} if filters is not None else {}
        found = shared_client().vector_stores.search(self.id, query=query, max_num_results=limit, **options)
        rows = [
            {
                "score": result.score,
                "filename": result.filename,
                "text": "\n".join(part.text for part in result.content),
                "file_id": result.file_id,
            }
            for result in found
        ]
        return SearchResults(f"“{query}” in {self.name}", rows)

    def delete(self) -> None:
        """Delete the store; its files stay."""
        shared_client().vector_stores.delete(self.id)
        forget(self.id)


def vector_store(
    name: str, documents: Iterable[str | Path] = (), *, texts: Mapping[str, str] | None = None
) -> VectorStore:
    """Make a vector store and index documents in it; see `VectorStore.add`."""
    made = shared_client().vector_stores.create(name=name)
    remember("vector_store", made.id, name)
    store = VectorStore(made.id, name)
    documents = list(documents)
    return store.add(*documents, texts=texts) if documents or texts else store
