"""The top of the command: `serve` and `status`."""

import json
import sys
import time
from pathlib import Path

import click

from perijove_platform import __version__
from perijove_platform.discovery import NotRunning, connect

ALREADY_SERVED = 3
PORT = 0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Models, files, fine-tuning and vector search on this machine or on a platform elsewhere."""


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=PORT, show_default=True, help="0 takes a free one; `perijove status` tells which.")
@click.option("--life-line", is_flag=True, help="Stop when standard input ends.")
def serve(data_dir: Path | None, host: str, port: int, life_line: bool) -> None:
    """Run the platform in the foreground."""
    from perijove_platform.server import AlreadyServed
    from perijove_platform.server import serve as run
    from perijove_platform.settings import Settings

    settings = Settings() if data_dir is None else Settings(data_dir=data_dir.absolute())
    try:
        run(settings, host=host, port=port, life_line=life_line)
    except AlreadyServed as error:
        click.echo(str(error), err=True)
        sys.exit(ALREADY_SERVED)
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {host}:{port}: {error.strerror}.") from error


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path))
@click.option("--wait", default=0.0, help="Seconds to wait for it to answer.")
@click.option("--json", "as_json", is_flag=True)
def status(data_dir: Path | None, wait: float, as_json: bool) -> None:
    """Where the platform answers, and its key. Exit code 0 once it answers."""
    import httpx

    deadline = time.monotonic() + wait
    while True:
        try:
            connection = connect(data_dir)
            httpx.get(f"{connection.base_url}/healthz", timeout=10).raise_for_status()
            break
        except (NotRunning, httpx.HTTPError) as error:
            if time.monotonic() >= deadline:
                raise click.ClickException(str(error)) from error
            time.sleep(0.1)
    shown = {"base_url": connection.base_url, "api_key": connection.api_key, "version": connection.version}
    if as_json:
        click.echo(json.dumps(shown))
    else:
        click.echo(f"The platform answers at {connection.base_url}. `--json` also prints its key.")
