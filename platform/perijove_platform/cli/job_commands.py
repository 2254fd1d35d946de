"""What is done to jobs of every kind, as commands of the kind's own group."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from perijove_platform.cli.failures import FAILED, Json
from perijove_platform.cli.following import RESUMED, Events, follow
from perijove_platform.cli.job_log import follow_log, whole_log
from perijove_platform.cli.session import Session, with_session
from perijove_platform.legible import legible

FINAL = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Kind:
    """One kind of job.

    Attributes:
        path: of its list in the API.
        object: in the types of its events.
        described: lines about a job, below those that every job has.
        result: what a job that has succeeded leaves, in a word.
    """

    path: str
    object: str
    described: Callable[[Json], Sequence[str]]
    result: Callable[[Json], str] = lambda job: ""


def add_commands(group: click.Group, kind: Kind) -> None:
    """Add `get`, `cancel`, `pause`, `resume`, `events` and `logs`."""
    for add in (_add_get, _add_actions, _add_events, _add_logs):
        add(group, kind)


def follow_job(session: Session, kind: Kind, job_id: str) -> None:
    """Show the job's events to its end; with `--json` its last line is the job. Exit code 1 unless it succeeded."""
    with follow(session) as changes:
        job, shown = _catch_up(session, kind, changes, job_id, "")
        while job["state"] not in FINAL:
            change = next(changes)
            if change["type"] in RESUMED:
                job, shown = _catch_up(session, kind, changes, job_id, shown)
            elif change["type"] == f"{kind.object}.event" and change["data"]["job_id"] == job_id:
                # Ids grow; what was listed may come once more by the stream.
                if change["data"]["id"] > shown:
                    shown = change["data"]["id"]
                    _show_event(session, change["data"])
            elif change["type"] == f"{kind.object}.updated" and change["object_id"] == job_id:
                job = change["data"]
    reason = f" – {job['state_reason']}" if job["state_reason"] else ""
    session.show(job, f"{job_id} {job['state']}{reason} {kind.result(job)}".rstrip())
    if job["state"] != "succeeded":
        sys.exit(FAILED)


def _catch_up(session: Session, kind: Kind, changes: Events, job_id: str, shown: str) -> tuple[Json, str]:
    """The job as it is, and the id of its newest event; the ones after `shown` have been shown."""
    url = f"{kind.path}/{job_id}"
    job = changes.get(url)
    after: Json = {"after": shown} if shown else {}
    for event in session.pages(f"{url}/events", get=changes.get, order="asc", **after):
        shown = event["id"]
        _show_event(session, event)
    return job, shown


def _show_event(session: Session, event: Json) -> None:
    session.show(event, f"{event['level']:5} {event['message']}")


def _add_get(group: click.Group, kind: Kind) -> None:
    @group.command()
    @click.argument("job_id")
    @with_session
    def get(session: Session, job_id: str) -> None:
        """Show a job."""
        job = session.call("GET", f"{kind.path}/{job_id}")
        reason = f" – {job['state_reason']}" if job["state_reason"] else ""
        lines = [f"{job['id']}: {job['state']}{reason}", *kind.described(job)]
        if job["error"] and job["error"]["message"]:
            lines.append(f"error          {job['error']['message']}")
        session.show(job, "\n".join(lines))


def _add_actions(group: click.Group, kind: Kind) -> None:
    def add(action: str, summary: str) -> None:
        @group.command(action, help=summary)
        @click.argument("job_id")
        @with_session
        def act(session: Session, job_id: str) -> None:
            job = session.call("POST", f"{kind.path}/{job_id}/{action}")
            session.show(job, f"{job['id']} is {job['state']}.")

    add("cancel", "Stop a job for good.")
    add("pause", "Stop a job so that it can go on later.")
    add("resume", "Go on with a paused job.")


def _add_events(group: click.Group, kind: Kind) -> None:
    @group.command()
    @click.argument("job_id")
    @click.option(
        "-f", "--follow", is_flag=True, help="Go on until the job has ended; exit code 1 unless it succeeded."
    )
    @with_session
    def events(session: Session, job_id: str, follow: bool) -> None:
        """Show a job's events, oldest first."""
        if follow:
            follow_job(session, kind, job_id)
            return
        found = session.pages(f"{kind.path}/{job_id}/events", order="asc")
        if session.as_json:
            session.print_json(list(found))
            return
        for event in found:
            _show_event(session, event)


def _add_logs(group: click.Group, kind: Kind) -> None:
    @group.command()
    @click.argument("job_id")
    @click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
    @click.option("--tail", type=click.IntRange(0), help="Only the last so many lines.")
    @with_session
    def logs(session: Session, job_id: str, follow: bool, tail: int | None) -> None:
        """Show what the job's program wrote."""
        url = f"{kind.path}/{job_id}"
        if follow:
            for line in follow_log(session, url, tail=tail, ended=lambda job: job["state"] in FINAL):
                session.show({"line": line}, line)
            return
        lines = whole_log(session, url, tail=tail)
        if session.as_json:
            session.print_json({"job_id": job_id, "lines": list(lines)})
            return
        for line in lines:
            click.echo(legible(line))
