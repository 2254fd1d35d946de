"""`perijove vector-stores`."""

import click

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.following import RESUMED, follow
from perijove_platform.cli.session import Session, age_text, field, size_text, with_session
from perijove_platform.cli.uploads import Uploads, uploads

STORES = "/v1/vector_stores"
_PASSAGE_CHARACTERS = 400


@click.group("vector-stores")
def command() -> None:
    """Create, fill and search vector stores."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@with_session
def list_stores(session: Session, limit: int) -> None:
    """List vector stores, newest first."""
    session.table(
        session.pages(STORES, limit=limit),
        [
            ("ID", field("id")),
            ("NAME", field("name")),
            ("STATUS", field("status")),
            ("FILES", lambda store: f"{store['file_counts']['completed']}/{store['file_counts']['total']}"),
            ("SIZE", lambda store: size_text(store["usage_bytes"])),
            ("CREATED", lambda store: age_text(store["created_at"])),
        ],
        empty="There are no vector stores. Create one with `perijove vector-stores create --name NAME FILES`.",
    )


@command.command()
@click.argument("files", nargs=-1)
@click.option("--name", help="Its name.")
@click.option("--embedding-model", help="Instead of the default.")
@with_session
def create(session: Session, files: tuple[str, ...], name: str | None, embedding_model: str | None) -> None:
    """Create a vector store, with FILES (ids or paths) in it."""
    optional = {"name": name, "embedding_model": embedding_model}
    with uploads(session) as made:
        ids = [made.id_of(file, "assistants") for file in files]
        store = made.hand_over(STORES, {key: value for key, value in optional.items() if value})
        if ids:
            try:
                _index(session, made, store["id"], ids)
            except Failed as failure:
                failure.add(f"The vector store {store['id']} was created.")
                raise
            store = session.get(f"{STORES}/{store['id']}")
    session.show(store, f"{store['id']}  {store['name'] or ''}  {store['file_counts']['completed']} files indexed")


@command.command()
@click.argument("store_id")
@click.argument("files", nargs=-1, required=True)
@with_session
def add(session: Session, store_id: str, files: tuple[str, ...]) -> None:
    """Add FILES (ids or paths) to a vector store and wait until they are indexed."""
    with uploads(session) as made:
        batch = _index(session, made, store_id, [made.id_of(file, "assistants") for file in files])
    session.show(batch, f"{batch['file_counts']['completed']} files indexed.")


def _index(session: Session, made: Uploads, store_id: str, ids: list[str]) -> Json:
    """Attach the files and wait until they are indexed."""
    with follow(session) as events:
        batch = made.hand_over(f"{STORES}/{store_id}/file_batches", {"file_ids": ids})
        url = f"{STORES}/{store_id}/file_batches/{batch['id']}"
        batch = events.get(url)
        while batch["status"] == "in_progress":
            event = next(events)
            if event["type"].startswith("vector_store") or event["type"] in RESUMED:
                batch = events.get(url)
    if batch["file_counts"]["failed"]:
        failed = session.call("GET", f"{url}/files", params={"filter": "failed"})["data"]
        reasons = "; ".join(f"{file['id']}: {file['last_error']['message']}" for file in failed[:5])
        raise Failed(f"{batch['file_counts']['failed']} of {len(ids)} files could not be indexed. {reasons}")
    return batch


@command.command()
@click.argument("store_id")
@click.argument("query")
@click.option("-n", "--max-results", type=click.IntRange(1, 50), default=5, show_default=True)
@with_session
def search(session: Session, store_id: str, query: str, max_results: int) -> None:
    """Find the passages nearest in meaning to QUERY."""
    found = session.call("POST", f"{STORES}/{store_id}/search", json={"query": query, "max_num_results": max_results})[
        "data"
    ]
    session.table(
        found,
        [
            ("SCORE", lambda result: f"{result['score']:.3f}"),
            ("FILE", field("filename")),
            ("PASSAGE", lambda result: " ".join(part["text"] for part in result["content"])[:_PASSAGE_CHARACTERS]),
        ],
        empty="Nothing was found. `perijove vector-stores list` tells whether the store has files.",
    )


@command.command()
@click.argument("store_ids", nargs=-1, required=True)
@with_session
def delete(session: Session, store_ids: tuple[str, ...]) -> None:
    """Delete vector stores; the files stay."""
    deleted = (session.call("DELETE", f"{STORES}/{store_id}") for store_id in store_ids)
    session.show_each(deleted, lambda store: f"Deleted {store['id']}.")
