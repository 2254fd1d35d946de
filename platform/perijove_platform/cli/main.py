"""The top of the command: `serve`, `status`, and the groups that talk to a platform."""

import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import click

from perijove_platform import __version__
from perijove_platform.cli.failures import ALREADY_SERVED, Failed, Unreachable, file_failures
from perijove_platform.discovery import Connection, NotRunning, connect

PORT = 0


class LazyGroup(click.Group):
    """The whole command: imports a group when it is called, and ends with one line when a file or pipe fails.

    `--help` shows a group's line from here.
    """

    lazy: ClassVar[dict[str, tuple[str, str]]] = {
        "batch-jobs": ("perijove_platform.cli.batch_jobs", "Run any command to its end."),
        "chat": ("perijove_platform.cli.chat", "Talk to a model."),
        "clusters": ("perijove_platform.cli.clusters", "Register Kubernetes clusters, see them, and set quotas."),
        "files": ("perijove_platform.cli.files", "Upload, list, download, validate and delete files."),
        "jobs": ("perijove_platform.cli.jobs", "Create and follow fine-tuning jobs."),
        "kube-token": ("perijove_platform.cli.kube_token", "Print a short-lived credential for kubectl."),
        "kubeconfig": ("perijove_platform.cli.kube", "Let kubectl reach a cluster through the platform."),
        "models": ("perijove_platform.cli.models", "Pull, register, load and delete models."),
        "vector-stores": ("perijove_platform.cli.vector_stores", "Create, fill and search vector stores."),
    }

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        # `--help` and `--version` write in here.
        with file_failures():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with file_failures():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.lazy])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _ = self.lazy[cmd_name]
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            own = self.commands.get(name)
            rows.append((name, own.get_short_help_str(80) if own else self.lazy[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def main() -> None:
    """Models, files, fine-tuning and vector search on this machine or on a platform elsewhere.

    The commands use the platform at $PERIJOVE_BASE_URL with the key $PERIJOVE_API_KEY when these are set, else the
    one of this machine's data directory.
    """


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 takes a free one; `perijove status` tells which.",
)
@click.option("--life-line", is_flag=True, help="Stop when standard input ends.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Of the log, on standard error.")
def serve(data_dir: Path | None, host: str, port: int, life_line: bool, log_format: str | None) -> None:
    """Run the platform in the foreground."""
    # What is imported now stays: looking for garbage in it, now and later, only costs time.
    gc.disable()
    from perijove_platform.server import AlreadyServed
    from perijove_platform.server import serve as run
    from perijove_platform.settings import Settings

    gc.freeze()
    gc.enable()
    given = {"data_dir": data_dir.absolute() if data_dir else None, "log_format": log_format}
    try:
        settings = Settings.model_validate(
            {**Settings().model_dump(), **{name: value for name, value in given.items() if value is not None}}
        )
        run(settings, host=host, port=port, life_line=life_line)
    except AlreadyServed as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(ALREADY_SERVED)
    except OSError as error:
        if error.filename is not None:
            raise
        raise click.ClickException(f"Cannot serve on {host}:{port}: {error.strerror}.") from error


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--wait", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for it to answer.")
@click.option("--json", "as_json", is_flag=True, help="Print base_url, api_key and version as JSON.")
def status(data_dir: Path | None, wait: float, as_json: bool) -> None:
    """Where the platform answers, and its key. Exit code 0 once it answers, 4 when it does not."""
    try:
        connection = _answering(data_dir, wait)
    except Failed as failure:
        failure.as_json = as_json
        raise
    shown = {"base_url": connection.base_url, "api_key": connection.api_key, "version": connection.version}
    if as_json:
        click.echo(json.dumps(shown))
    else:
        click.echo(f"The platform answers at {connection.base_url}. `perijove status --json` also prints its key.")


def _answering(data_dir: Path | None, wait: float) -> Connection:
    """The platform, once it answers. Raises `Unreachable` when it does not within `wait` seconds."""
    import httpx

    deadline = time.monotonic() + wait
    while True:
        try:
            connection = connect(data_dir)
            httpx.get(f"{connection.base_url}/healthz", timeout=10).raise_for_status()
            return connection
        except (NotRunning, httpx.HTTPError, httpx.InvalidURL) as error:
            if time.monotonic() >= deadline:
                reason = str(error).rstrip(".") or type(error).__name__
                raise Unreachable(
                    f"{reason}." if isinstance(error, NotRunning) else f"No platform answers: {reason}."
                ) from None
        time.sleep(0.1)
