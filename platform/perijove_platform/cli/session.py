"""What every command that talks to a platform shares: the connection, its errors, and how results are shown."""

import functools
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import click
import httpx

from perijove_platform.cli.main import FAILED, NO_PLATFORM
from perijove_platform.discovery import NotRunning, connect

Json = dict[str, Any]
Column = tuple[str, Callable[[Json], object]]
_TIMEOUT = httpx.Timeout(60, read=600, write=600)
# All but tab and line feed: what a model or a name says must not steer the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MAX_PAGE = 100


class Failed(click.ClickException):
    """The command failed; `body` is the platform's error, for `--json`."""

    exit_code = FAILED

    def __init__(self, message: str, *, body: Json | None = None) -> None:
        super().__init__(message)
        self.body = body
        self.as_json = False

    def show(self, file: IO[Any] | None = None) -> None:
        if self.as_json:
            click.echo(json.dumps(self.body or {"error": {"message": self.message}}), err=True, file=file)
        else:
            super().show(file)


class Unreachable(Failed):
    """There is no platform to talk to."""

    exit_code = NO_PLATFORM


class Session:
    """One command's connection to a platform."""

    def __init__(self, data_dir: Path | None, *, as_json: bool) -> None:
        self.as_json = as_json
        try:
            self.connection = connect(data_dir)
        except NotRunning as error:
            raise Unreachable(str(error)) from None
        self.http = httpx.Client(
            base_url=self.connection.base_url,
            headers={"Authorization": f"Bearer {self.connection.api_key}"},
            timeout=_TIMEOUT,
        )

    def call(self, method: str, path: str, **request: Any) -> Json:
        """The JSON answer. Raises `Failed` with the platform's message."""
        with self._errors():
            answer = self.http.request(method, path, **request)
        if answer.is_error:
            _fail(answer)
        try:
            body: Json = answer.json()
        except ValueError:
            message = f"{self.connection.base_url} did not answer as a platform does. Check its address."
            raise Unreachable(message) from None
        return body

    @contextmanager
    def stream(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        """An answer that is read as it arrives."""
        with self._errors(), self.http.stream(method, path, **request) as answer:
            if answer.is_error:
                answer.read()
                _fail(answer)
            yield answer

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            message = f"No platform answers at {self.connection.base_url}. Start one with `perijove serve`."
            raise Unreachable(message) from None
        except httpx.TimeoutException:
            raise Failed("The platform took too long to answer. Try again.") from None
        except httpx.HTTPError as error:
            raise Failed(f"The connection to the platform broke: {error}.") from None

    def pages(self, path: str, *, limit: int | None = None, **params: object) -> Iterator[Json]:
        """The items of a list, page by page; at most `limit`."""
        left = limit
        while left is None or left > 0:
            size = MAX_PAGE if left is None else min(left, MAX_PAGE)
            page = self.call("GET", path, params={**params, "limit": size})
            yield from page["data"]
            if not page["has_more"]:
                return
            params["after"] = page["last_id"]
            left = None if left is None else left - len(page["data"])

    @contextmanager
    def events(self) -> Iterator[Iterator[Json]]:
        """What changes in the project from now on, so that nothing has to be asked for again and again."""
        with self.stream("GET", "/v1/events", timeout=httpx.Timeout(60)) as answer:
            lines = answer.iter_lines()
            # The first comment says that the stream stands: what happens after it is seen.
            next(lines, None)
            yield (json.loads(line[5:]) for line in lines if line.startswith("data:"))

    def show(self, item: Json, message: str) -> None:
        """One result: as JSON, or as a sentence."""
        click.echo(json.dumps(item, ensure_ascii=False) if self.as_json else plain(message))

    def table(self, items: Iterable[Json], columns: Iterable[Column], *, empty: str) -> None:
        """A list: as JSON, or as a table."""
        rows = list(items)
        if self.as_json:
            click.echo(json.dumps(rows, ensure_ascii=False))
            return
        if not rows:
            click.echo(empty)
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        named = list(columns)
        for title, _ in named:
            table.add_column(title, overflow="fold", no_wrap=title == "ID")
        for row in rows:
            table.add_row(*[Text(plain("" if value(row) is None else str(value(row)))) for _, value in named])
        console = Console()
        # Piped, a row stays on its line.
        Console(width=None if console.is_terminal else 10_000, soft_wrap=not console.is_terminal).print(table)


def _fail(answer: httpx.Response) -> NoReturn:
    try:
        body = answer.json()
        message = str(body["error"]["message"])
    except (ValueError, KeyError, TypeError):
        body, message = None, f"The platform answered {answer.status_code}: {answer.text[:200]}"
    raise Failed(plain(message), body=body)


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """A command that gets a `Session` first, and the options `--json` and `--data-dir`."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Of the platform to use.")
    @functools.wraps(function)
    def command(**options: Any) -> None:
        as_json: bool = options.pop("as_json")
        data_dir: Path | None = options.pop("data_dir")
        try:
            function(Session(data_dir, as_json=as_json), **options)
        except Failed as failure:
            failure.as_json = as_json
            raise
        except BrokenPipeError:
            # The reader (`head`) has enough.
            sys.stderr.close()

    return command


def plain(text: str) -> str:
    """The text without control characters."""
    return _CONTROL.sub("", text)


def size_text(count: int | None) -> str:
    if count is None:
        return ""
    if count < 1024:
        return f"{count} B"
    amount = count / 1024
    units = ["KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.1f} {units[0]}"


def age_text(created_at: int) -> str:
    seconds = max(0, int(time.time()) - created_at)
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "now"


def field(name: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda row: row.get(name)
