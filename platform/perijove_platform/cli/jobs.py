"""`perijove jobs`."""

import sys

import click

from perijove_platform.cli.failures import FAILED, Json
from perijove_platform.cli.following import RESUMED, Events
from perijove_platform.cli.job_log import follow_log, whole_log
from perijove_platform.cli.session import Session, age_text, field, plain, with_session
from perijove_platform.cli.uploads import uploads

JOBS = "/v1/fine_tuning/jobs"
FINAL = ("succeeded", "failed", "cancelled")


@click.group("jobs")
def command() -> None:
    """Create and follow fine-tuning jobs."""


def _progress(job: Json) -> str:
    found = job["progress"]
    if not found or not found["total_steps"]:
        return f"number {job['queue_position']} in the queue" if job["queue_position"] else ""
    loss = f", loss {found['loss']:.3f}" if found["loss"] is not None else ""
    return f"step {found['step']}/{found['total_steps']}{loss}"


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@with_session
def list_jobs(session: Session, limit: int) -> None:
    """List jobs, newest first."""
    session.table(
        session.pages(JOBS, limit=limit),
        [
            ("ID", field("id")),
            ("STATE", field("state")),
            ("MODEL", field("model")),
            ("PROGRESS", _progress),
            ("RESULT", lambda job: job["fine_tuned_model"] or job["state_reason"]),
            ("CREATED", lambda job: age_text(job["created_at"])),
        ],
        empty="There are no jobs. Create one with `perijove jobs create --model MODEL --training-file FILE`.",
    )


@command.command()
@click.option("--model", required=True, help="The base model.")
@click.option("--training-file", required=True, help="Id of an uploaded file, or a path that is uploaded first.")
@click.option("--validation-file", help="As --training-file.")
@click.option("--suffix", help="Part of the resulting model's name.")
@click.option("--epochs", type=click.IntRange(1))
@click.option("--batch-size", type=click.IntRange(1))
@click.option("--learning-rate-multiplier", type=float)
@click.option("--max-steps", type=click.IntRange(1))
@click.option("--seed", type=click.IntRange(0))
@click.option("-f", "--follow", is_flag=True, help="Show events until the job has ended.")
@with_session
def create(
    session: Session,
    model: str,
    training_file: str,
    validation_file: str | None,
    suffix: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate_multiplier: float | None,
    max_steps: int | None,
    seed: int | None,
    follow: bool,
) -> None:
    """Create a fine-tuning job."""
    tuned = {
        "n_epochs": epochs,
        "batch_size": batch_size,
        "learning_rate_multiplier": learning_rate_multiplier,
        "max_steps": max_steps,
    }
    body = {
        "model": model,
        "suffix": suffix,
        "seed": seed,
        "hyperparameters": {name: value for name, value in tuned.items() if value is not None} or None,
    }
    with uploads(session) as made:
        body["training_file"] = made.id_of(training_file, "fine-tune")
        body["validation_file"] = made.id_of(validation_file, "fine-tune") if validation_file else None
        job = made.hand_over(JOBS, {name: value for name, value in body.items() if value is not None})
    session.show(job, f"{job['id']} is {job['state']}.")
    if follow:
        _follow(session, job["id"])


@command.command()
@click.argument("job_id")
@with_session
def get(session: Session, job_id: str) -> None:
    """Show a job."""
    job = session.call("GET", f"{JOBS}/{job_id}")
    lines = [
        f"{job['id']}: {job['state']}{' – ' + job['state_reason'] if job['state_reason'] else ''}",
        f"base model     {job['model']}",
        f"training file  {job['training_file']}",
        f"progress       {_progress(job)}",
        f"result         {job['fine_tuned_model'] or ''}",
    ]
    if job["error"] and job["error"]["message"]:
        lines.append(f"error          {job['error']['message']}")
    session.show(job, "\n".join(lines))


def _act(session: Session, job_id: str, action: str) -> None:
    job = session.call("POST", f"{JOBS}/{job_id}/{action}")
    session.show(job, f"{job['id']} is {job['state']}.")


@command.command()
@click.argument("job_id")
@with_session
def cancel(session: Session, job_id: str) -> None:
    """Stop a job for good."""
    _act(session, job_id, "cancel")


@command.command()
@click.argument("job_id")
@with_session
def pause(session: Session, job_id: str) -> None:
    """Stop a job so that it can go on from its last checkpoint."""
    _act(session, job_id, "pause")


@command.command()
@click.argument("job_id")
@with_session
def resume(session: Session, job_id: str) -> None:
    """Go on with a paused job."""
    _act(session, job_id, "resume")


@command.command()
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended; exit code 1 unless it succeeded.")
@with_session
def events(session: Session, job_id: str, follow: bool) -> None:
    """Show a job's events, oldest first."""
    if follow:
        _follow(session, job_id)
        return
    found = session.pages(f"{JOBS}/{job_id}/events", order="asc")
    if session.as_json:
        session.print_json(list(found))
        return
    for event in found:
        _show_event(session, event)


def _show_event(session: Session, event: Json) -> None:
    session.show(event, f"{event['level']:5} {event['message']}")


def _follow(session: Session, job_id: str) -> None:
    """Show the job's events to its end; with `--json` its last line is the job. Exit code 1 unless it succeeded."""
    with session.events() as changes:
        job, shown = _catch_up(session, changes, job_id, "")
        while job["state"] not in FINAL:
            change = next(changes)
            if change["type"] in RESUMED:
                job, shown = _catch_up(session, changes, job_id, shown)
            elif change["type"] == "fine_tuning.job.event" and change["data"]["job_id"] == job_id:
                # Ids grow; what was listed may come once more by the stream.
                if change["data"]["id"] > shown:
                    shown = change["data"]["id"]
                    _show_event(session, change["data"])
            elif change["type"] == "fine_tuning.job.updated" and change["object_id"] == job_id:
                job = change["data"]
    reason = f" – {job['state_reason']}" if job["state_reason"] else ""
    session.show(job, f"{job_id} {job['state']}{reason} {job['fine_tuned_model'] or ''}".rstrip())
    if job["state"] != "succeeded":
        sys.exit(FAILED)


def _catch_up(session: Session, changes: Events, job_id: str, shown: str) -> tuple[Json, str]:
    """The job as it is, and the id of its newest event; the ones after `shown` have been shown."""
    job = changes.get(f"{JOBS}/{job_id}")
    after: Json = {"after": shown} if shown else {}
    for event in session.pages(f"{JOBS}/{job_id}/events", get=changes.get, order="asc", **after):
        shown = event["id"]
        _show_event(session, event)
    return job, shown


@command.command()
@click.argument("job_id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--tail", type=click.IntRange(0), help="Only the last so many lines.")
@with_session
def logs(session: Session, job_id: str, follow: bool, tail: int | None) -> None:
    """Show what the job's program wrote."""
    url = f"{JOBS}/{job_id}"
    if follow:
        for line in follow_log(session, url, tail=tail, ended=lambda job: job["state"] in FINAL):
            session.show({"line": line}, line)
        return
    lines = whole_log(session, url, tail=tail)
    if session.as_json:
        session.print_json({"job_id": job_id, "lines": list(lines)})
        return
    for line in lines:
        click.echo(plain(line))
