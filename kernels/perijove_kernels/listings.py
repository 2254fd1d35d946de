"""Lists of the platform's objects as tables in a cell."""

import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice
from typing import Any

from perijove_kernels.connection import shared_client

MAX_SHOWN = 1000
_COMMAND_CHARACTERS = 60


class Listing(Sequence[dict[str, Any]]):
    """Rows that show themselves as a table; index and iterate it like a list of dictionaries."""

    def __init__(self, title: str, rows: list[dict[str, Any]]) -> None:
        self.title = title
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.title}: none"
        columns = list(self.rows[0])
        cells = [columns, *([_text(row[column]) for column in columns] for row in self.rows)]
        widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        return "\n".join([self.title, *(line.rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p><b>{escape(self.title)}</b>: none</p>"
        head = "".join(f"<th style='text-align:left'>{escape(column)}</th>" for column in self.rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(_text(v))}</td>" for v in row.values()) + "</tr>"
            for row in self.rows
        )
        return f"<b>{escape(self.title)}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def models() -> Listing:
    """The models, newest first."""
    rows = []
    for model in islice(shared_client().models.list(), MAX_SHOWN):
        extra = model.model_extra or {}
        rows.append({"id": model.id, "kind": extra.get("kind"), "state": extra.get("state"), "created": model.created})
    return Listing("Models", _aged(rows))


def files() -> Listing:
    """The files, newest first."""
    listed = islice(shared_client().files.list(), MAX_SHOWN)
    rows = [
        {"id": f.id, "filename": f.filename, "purpose": f.purpose, "bytes": f.bytes, "created": f.created_at}
        for f in listed
    ]
    return Listing("Files", _aged(rows))


def jobs() -> Listing:
    """The jobs of both kinds, newest first, with why one waits and its place in the queue (1 is next)."""
    tunes = islice(_every("/fine_tuning/jobs"), MAX_SHOWN)
    rows = [_job_row(job, job["model"], job["fine_tuned_model"]) for job in tunes]
    for job in islice(_every("/batch_jobs"), MAX_SHOWN):
        done = f"{job['completed']} of {job['completions']} done" if job["completions"] > 1 else None
        rows.append(_job_row(job, job["name"] or " ".join(job["command"])[:_COMMAND_CHARACTERS], done))
    rows.sort(key=lambda row: int(row["created"]), reverse=True)
    return Listing("Jobs", _aged(rows[:MAX_SHOWN]))


def _job_row(job: dict[str, Any], what: str, result: str | None) -> dict[str, Any]:
    return {
        "id": job["id"],
        "what": what,
        "state": job["state"],
        "reason": job["state_reason"],
        "place": job["queue_position"],
        "cluster": job["cluster"],
        "result": result,
        "created": job["created_at"],
    }


def clusters() -> Listing:
    """The places where jobs run, this platform's own machine first: how each is, and what of it is free.

    The names are what ``fine_tune(…, on=name)`` and ``batch_job(…, on=name)`` take.
    """
    return Listing("Clusters", [_cluster_row(found) for found in islice(_every("/clusters"), MAX_SHOWN)])


def _every(path: str) -> Iterator[dict[str, Any]]:
    """The items of one of the API's lists, page by page."""
    after: str | None = None
    while True:
        query = {"limit": 100} if after is None else {"limit": 100, "after": after}
        page: Any = shared_client().get(path, cast_to=object, options={"params": query})
        yield from page["data"]
        after = page.get("last_id")
        if not page["has_more"] or after is None:
            return


def _cluster_row(cluster: dict[str, Any]) -> dict[str, Any]:
    nodes, capacity = cluster["nodes"], cluster["capacity"]
    devices = [f"{found['free']} of {found['total']} {found['type']} free" for found in cluster["accelerators"]]
    if not devices and capacity is not None and capacity["gpus"]:
        devices = [f"{capacity['gpus_free']} of {capacity['gpus']} free"]
    return {
        "name": cluster["name"],
        "state": cluster["state"],
        "reason": cluster["state_reason"],
        "kubernetes": cluster["kubernetes_version"],
        "nodes ready": None if nodes is None else f"{nodes['ready']} of {nodes['total']}",
        "cpus": None if capacity is None else f"{capacity['cpus']:g}",
        "memory": None if capacity is None else f"{capacity['memory_bytes'] / 1e9:.1f} GB",
        "accelerators": ", ".join(devices) or None,
    }


def vector_stores() -> Listing:
    """The vector stores, newest first."""
    listed = islice(shared_client().vector_stores.list(), MAX_SHOWN)
    rows = [
        {"id": s.id, "name": s.name, "status": s.status, "files": s.file_counts.total, "created": s.created_at}
        for s in listed
    ]
    return Listing("Vector stores", _aged(rows))


def _aged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "created": _age(row["created"])} for row in rows]


def _age(created: int) -> str:
    seconds = max(0, int(time.time()) - created)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
