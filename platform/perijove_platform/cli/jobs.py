"""`perijove jobs`."""

import click

from perijove_platform.cli.failures import Json
from perijove_platform.cli.job_commands import Kind, add_commands, follow_job
from perijove_platform.cli.session import Session, age_text, field, with_session
from perijove_platform.cli.uploads import uploads

JOBS = "/v1/fine_tuning/jobs"


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
@click.option("--cluster", help="Where it runs; this platform's own machine by default.")
@click.option("--priority", type=click.IntRange(-2, 2), help="Higher runs first.")
@click.option("--max-run-seconds", type=click.IntRange(1), help="Of running; a job that runs longer fails.")
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
    cluster: str | None,
    priority: int | None,
    max_run_seconds: int | None,
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
        "cluster": cluster,
        "priority": priority,
        "max_run_seconds": max_run_seconds,
        "hyperparameters": {name: value for name, value in tuned.items() if value is not None} or None,
    }
    with uploads(session) as made:
        body["training_file"] = made.id_of(training_file, "fine-tune")
        body["validation_file"] = made.id_of(validation_file, "fine-tune") if validation_file else None
        job = made.hand_over(JOBS, {name: value for name, value in body.items() if value is not None})
    session.show(job, f"{job['id']} is {job['state']}.")
    if follow:
        follow_job(session, KIND, job["id"])


def _described(job: Json) -> list[str]:
    return [
        f"base model     {job['model']}",
        f"training file  {job['training_file']}",
        f"progress       {_progress(job)}",
        f"result         {job['fine_tuned_model'] or ''}",
    ]


KIND = Kind(path=JOBS, object="fine_tuning.job", described=_described, result=lambda job: job["fine_tuned_model"] or "")
add_commands(command, KIND)
