"""What every command that talks to a platform shares: the connection, its errors, and how results are shown."""

import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
import httpx

from perijove_platform.cli.failures import Failed, Json, Lost, Silent, Unreachable
from perijove_platform.discovery import NotRunning, connect
from perijove_platform.legible import legible

Column = tuple[str, Callable[[Json], object]]
_TIMEOUT = httpx.Timeout(60, read=600, write=600)
MAX_PAGE = 100


class Session:
    """One command's connection to a platform."""

    def __init__(self, data_dir: Path | None, *, as_json: bool) -> None:
        self.as_json = as_json
        self.data_dir = data_dir
        self.http = httpx.Client(timeout=_TIMEOUT)
        self.find_platform()

    def find_platform(self) -> None:
        """Where it answers now: one that was started again may have another port. Raises `Unreachable`."""
        try:
            self.connection = connect(self.data_dir)
        except NotRunning as error:
            raise Unreachable(str(error)) from None
        try:
            self.http.base_url = self.connection.base_url
        except httpx.InvalidURL as error:
            raise Unreachable(f"PERIJOVE_BASE_URL is not an address: {error}.") from None
        self.http.headers["Authorization"] = f"Bearer {self.connection.api_key}"

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

    def get(self, path: str, **params: object) -> Json:
        """`call` for what only reads."""
        return self.call("GET", path, params=params)

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
        except httpx.UnsupportedProtocol:
            raise Unreachable("PERIJOVE_BASE_URL is not an address: it must begin with http:// or https://.") from None
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Unreachable(
                    f"The certificate of {self.connection.base_url} is not trusted. Set SSL_CERT_FILE to a file (PEM) "
                    "with the certificates that have signed it."
                ) from None
            message = f"No platform answers at {self.connection.base_url}. Start one with `perijove serve`."
            raise Unreachable(message) from None
        except httpx.TimeoutException:
            raise Silent("The platform took too long to answer. Try again.") from None
        except httpx.HTTPError as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise Lost(f"The connection to the platform broke: {reason}.") from None

    def pages(
        self, path: str, *, limit: int | None = None, get: Callable[..., Json] | None = None, **params: object
    ) -> Iterator[Json]:
        """The items of a list, page by page; at most `limit`. `get` may be that of a command that follows."""
        get = get or self.get
        left = limit
        while left is None or left > 0:
            size = MAX_PAGE if left is None else min(left, MAX_PAGE)
            page = get(path, **params, limit=size)
            yield from page["data"]
            if not page["has_more"]:
                return
            params["after"] = page["last_id"]
            left = None if left is None else left - len(page["data"])

    def show(self, item: Json, message: str) -> None:
        """One result: as JSON, or as a sentence."""
        if self.as_json:
            self.print_json(item)
        else:
            click.echo(legible(message))

    def show_each(self, items: Iterable[Json], message: Callable[[Json], str]) -> None:
        """One result for each argument: a sentence as each is there, or all of them as one JSON list.

        When one fails, what was done before it is shown nevertheless.
        """
        done: list[Json] = []
        try:
            for item in items:
                done.append(item)
                if not self.as_json:
                    click.echo(legible(message(item)))
        except Failed:
            if self.as_json and done:
                self.print_json(done)
            raise
        if self.as_json:
            self.print_json(done)

    def print_json(self, document: Json | list[Json]) -> None:
        """One JSON document, on one line: of a command that follows, one of many."""
        click.echo(json.dumps(document, ensure_ascii=False))

    def table(self, items: Iterable[Json], columns: Iterable[Column], *, empty: str) -> None:
        """A list: as JSON, or as a table."""
        rows = list(items)
        if self.as_json:
            self.print_json(rows)
        elif rows:
            click.echo(_as_table(rows, list(columns)), nl=False)
        else:
            click.echo(empty)


def _as_table(rows: list[Json], columns: list[Column]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, _ in columns:
        table.add_column(title, overflow="fold", no_wrap=title == "ID")
    for row in rows:
        shown = [legible("" if value(row) is None else str(value(row))) for _, value in columns]
        # Piped, a row stays on its line.
        table.add_row(*[Text(text if console.is_terminal else " ".join(text.split())) for text in shown])
    # Rich would end the process by itself when the pipe is closed.
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _fail(answer: httpx.Response) -> NoReturn:
    try:
        body = answer.json()
        message = str(body["error"]["message"])
    except (ValueError, KeyError, TypeError):
        body, message = None, f"The platform answered {answer.status_code}: {answer.text[:200]}"
    raise Failed(legible(message), body=body, status=answer.status_code)


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

    return command


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
