"""`perijove batch-jobs`."""

import os
import re
from contextlib import suppress

import click

from perijove_platform.cli.failures import Json
from perijove_platform.cli.job_commands import Kind, add_commands, follow_job
from perijove_platform.cli.session import Session, age_text, field, size_text, with_session
from perijove_platform.cli.uploads import uploads

JOBS = "/v1/batch_jobs"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]i?|)")


@click.group("batch-jobs")
def command() -> None:
    """Run any command to its end."""


class _Size(click.ParamType[int]):
    """Bytes, as ``512Mi`` or ``2G``."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _SIZE.fullmatch(str(value))
        if found is None:
            self.fail(f"'{value}' is no size; write it like 512Mi or 2G.", param, ctx)
        return round(float(found[1]) * {**_UNITS, **_BINARY}[found[2]])


def _progress(job: Json) -> str:
    if job["queue_position"]:
        return f"number {job['queue_position']} in the queue"
    return f"{job['completed']}/{job['completions']} done" if job["completions"] > 1 else ""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@with_session
def list_jobs(session: Session, limit: int) -> None:
    """List batch jobs, newest first."""
    session.table(
        session.pages(JOBS, limit=limit),
        [
            ("ID", field("id")),
            ("NAME", field("name")),
            ("STATE", field("state")),
            ("PROGRESS", _progress),
            ("CLUSTER", field("cluster")),
            ("REASON", field("state_reason")),
            ("CREATED", lambda job: age_text(job["created_at"])),
        ],
        empty="There are no batch jobs. Create one with `perijove batch-jobs create -- COMMAND`.",
    )


@command.command(context_settings={"ignore_unknown_options": False})
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@click.option("--name", help="For lists.")
@click.option("--image", help="What the command runs in; needed on a cluster, left out on this platform's machine.")
@click.option("-e", "--env", "variables", multiple=True, metavar="NAME[=VALUE]",
              help="A variable; without a value, that of this shell. Repeat for more.")  # fmt: skip
@click.option("--file", "files", multiple=True, metavar="PATH=FILE",
              help="Place a file, an id or one that is uploaded first, at a path of the working folder.")  # fmt: skip
@click.option("--cpus", type=click.FloatRange(min=0, min_open=True))
@click.option("--memory", type=_Size(), help="Like 512Mi or 2G.")
@click.option("--gpus", type=click.IntRange(0))
@click.option("--completions", type=click.IntRange(1), help="How often the command has to succeed.")
@click.option("--parallelism", type=click.IntRange(1), help="How many of these run at the same time.")
@click.option("--priority", type=click.IntRange(-2, 2), help="Higher runs first.")
@click.option("--max-run-seconds", type=click.IntRange(1), help="A job that runs longer fails.")
@click.option("--cluster", help="Where it runs; this platform's own machine by default.")
@click.option("-f", "--follow", is_flag=True, help="Show events until the job has ended.")
@with_session
def create(
    session: Session,
    arguments: tuple[str, ...],
    variables: tuple[str, ...],
    files: tuple[str, ...],
    cpus: float | None,
    memory: int | None,
    gpus: int | None,
    follow: bool,
    **fields: object,
) -> None:
    """Create a batch job. Options that belong to the command come after ``--``."""
    resources = {"cpus": cpus, "memory_bytes": memory, "gpus": gpus}
    body: Json = {
        "command": list(arguments),
        "environment": dict(_variable(given) for given in variables),
        "resources": {name: value for name, value in resources.items() if value is not None},
        **{name: value for name, value in fields.items() if value is not None},
    }
    places = [_place(given) for given in files]
    with uploads(session) as made:
        body["files"] = [{"path": path, "file_id": made.id_of(file, "user_data")} for path, file in places]
        job = made.hand_over(JOBS, body)
    session.show(job, f"{job['id']} is {job['state']}.")
    if follow:
        follow_job(session, KIND, job["id"])


def _variable(given: str) -> tuple[str, str]:
    name, separator, value = given.partition("=")
    if separator:
        return name, value
    with suppress(KeyError):
        return name, os.environ[name]
    raise click.BadParameter(f"'{name}' is not set in this shell; write {name}=VALUE.", param_hint="--env")


def _place(given: str) -> tuple[str, str]:
    path, separator, file = given.partition("=")
    if not separator or not path or not file:
        raise click.BadParameter(f"'{given}' is not of the form PATH=FILE.", param_hint="--file")
    return path, file


def _described(job: Json) -> list[str]:
    found = job["resources"]
    asked = f"{found['cpus']:g} CPUs, {size_text(found['memory_bytes'])}"
    lines = [
        f"command        {' '.join(job['command'])}",
        f"image          {job['image'] or ''}",
        f"cluster        {job['cluster']}",
        f"resources      {asked}{', ' + str(found['gpus']) + ' GPUs' if found['gpus'] else ''}",
        f"progress       {_progress(job)}",
    ]
    return lines


KIND = Kind(path=JOBS, object="batch_job", described=_described)
add_commands(command, KIND)
