"""HTTP with the platform and with signed addresses, by the standard library."""

import contextlib
import hashlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from perijove_platform.runner.contract import CA_FILE
from perijove_platform.runner.errors import Away, BadConfig, Ended, InputFailed, Rejected, ReportGap, Stale, Superseded
from perijove_platform.runner.run_config import RunConfig

TIMEOUT_SECONDS = 30.0
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
# Of OSErrors, only those of a connection: a full disk is one, too.
_CUT = (HTTPException, TimeoutError, ConnectionError, ssl.SSLError, urllib.error.URLError)
_STALE = frozenset({400, 401, 403, 404, 410, 416})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token, or bytes, to somewhere that nobody has named."""

    def redirect_request(self, *_: Any) -> None:
        return None


# Of the process: it speaks with one platform and the object store of that one.
_trust = ssl.create_default_context()
_opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=_trust))


class PlatformClient:
    """The routes ``/v1/job_runs/<job id>/…``.

    Every method raises `Away`, `Ended`, or `Rejected` for a request that will never be taken.
    """

    def __init__(self, config: RunConfig) -> None:
        """Raises `BadConfig` when what has to be believed are no certificates."""
        if config.ca is not None:
            try:
                _trust.load_verify_locations(cadata=config.ca)
            except (ssl.SSLError, ValueError) as error:
                raise BadConfig(f"The job's Secret cannot be used: its {CA_FILE} has no certificates.") from error
        self._base = f"{config.platform_url}/v1/job_runs/{quote(config.job_id, safe='')}"
        self._token = config.token

    def new_attempt(self) -> int:
        return int(self._ask("POST", "attempts", {})["attempt"])

    def inputs(self) -> dict[str, Any]:
        """``{"inputs": [{"path", "url", "size", "sha256"}], "checkpoint": the same with "step", or null}``.

        Raises `InputFailed` when an input is not there any more.
        """
        return self._ask("GET", "inputs", None)

    def put_urls(self, paths: Sequence[str]) -> dict[str, str]:
        return dict(self._ask("POST", "urls", {"put": list(paths)})["put"])

    def send_reports(self, attempt: int, first: int, reports: Sequence[Mapping[str, Any]]) -> int:
        """The number of the last report that the platform has.

        Raises:
            Superseded: another pod has the job.
            ReportGap: the platform has lost earlier ones.
        """
        body = {"attempt": attempt, "from": first, "reports": list(reports)}
        return int(self._ask("POST", "reports", body)["received"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._base}/{path}", data=data, method=method, headers=headers)  # noqa: S310
        try:
            with _open(request) as response:
                return _json(response.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, HTTPException, ValueError) as error:
            raise Away(f"The platform cannot be reached: {_reason(error)}") from None


def download(url: str, target: Path, size: int, progressed: Callable[[], None]) -> None:
    """Fetch into `target`, going on behind what it has. It may have fewer bytes than `size` afterwards.

    Raises:
        Away: the connection was cut, or the server fails.
        Stale: the address is not taken.
    """
    have = target.stat().st_size if target.exists() else 0
    if have > size:
        target.unlink()
        have = 0
    if have == size and target.exists():
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        with _open(request) as response:
            # Some servers send the range that was asked for under status 200.
            continued = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
            with target.open("ab" if continued else "wb") as file:
                while chunk := response.read(_CHUNK_BYTES):
                    file.write(chunk)
                    progressed()
    except urllib.error.HTTPError as error:
        raise _transfer_refusal(error) from None
    except _CUT as error:
        raise Away(f"The object store cannot be reached: {_reason(error)}") from None


def upload(url: str, source: BinaryIO, size: int) -> None:
    """PUT `size` bytes. Raises `Away` or `Stale`."""
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=source, method="PUT", headers=headers)  # noqa: S310
    try:
        with _open(request) as response:
            response.read(_MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        raise _transfer_refusal(error) from None
    except _CUT as error:
        raise Away(f"The object store cannot be reached: {_reason(error)}") from None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(request: urllib.request.Request) -> HTTPResponse:
    response: HTTPResponse = _opener.open(request, timeout=TIMEOUT_SECONDS)
    return response


def _refusal(error: urllib.error.HTTPError) -> Exception:
    code, message = "", ""
    with contextlib.suppress(OSError, HTTPException, ValueError, KeyError, TypeError), error:
        said = _json(error.read(_MAX_ANSWER_BYTES))["error"]
        code, message = str(said["code"]), str(said["message"])
    match error.code, code:
        case 401, "job_ended" | "invalid_job_token":
            return Ended(message)
        case 409, "superseded":
            return Superseded(message)
        case 409, "report_gap":
            return ReportGap(message)
        case 409, "input_missing":
            return InputFailed(message)
        case 400 | 413, _ if code:
            return Rejected(message)
    # Anything else, a 404 included, is a proxy's answer or a platform that is just starting.
    return Away(f"The platform answers {error.code} {message}".strip())


def _transfer_refusal(error: urllib.error.HTTPError) -> Exception:
    error.close()
    text = f"The object store answers {error.code}"
    return Stale(text) if error.code in _STALE else Away(text)


def _json(content: bytes) -> dict[str, Any]:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("the answer is no JSON object")
    return value


def _reason(error: Exception) -> str:
    """Without the address, which is a secret."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return type(inner).__name__
