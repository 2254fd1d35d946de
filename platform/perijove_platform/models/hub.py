"""What a Hugging Face hub has: https://huggingface.co/docs/hub/api, `GET /api/models/{repo}/revision/{revision}`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from perijove_platform.engines.gguf_header import split_parts
from perijove_platform.errors import BadGateway, BadRequest, NotFound, Unavailable
from perijove_platform.models.inspect_path import first_parts
from perijove_platform.models.schemas import HubSource
from perijove_platform.settings import Settings

if TYPE_CHECKING:
    import httpx

# Small enough for a laptop and close to the full model first; then what costs less, then what costs more.
_PREFERENCE = ("Q4_K_M", "Q8_0", "Q5_K_M", "Q4_K_S", "Q4_0", "Q4_1", "IQ4_XS", "Q6_K", "Q5_0", "Q3_K_M", "F16", "BF16")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_LISTING_BYTES = 16 << 20
OFFLINE_ADVICE = (
    "Check the network, set HF_ENDPOINT to a mirror that this machine reaches, or copy a GGUF file here and register "
    "it by its path."
)


class PlannedFile(BaseModel):
    """One file to fetch; `sha256` is what the hub's LFS metadata promises."""

    name: str
    size: int
    sha256: str


class PullPlan(BaseModel):
    """What a pull fetches: the files of one model at one commit."""

    repo: str
    commit: str
    files: list[PlannedFile]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class _Lfs(BaseModel):
    sha256: str | None = None
    oid: str | None = None


class _Sibling(BaseModel):
    rfilename: str
    size: int | None = None
    lfs: _Lfs | None = None


class _Listing(BaseModel):
    sha: str
    siblings: list[_Sibling]


def hub_client(settings: Settings) -> httpx.AsyncClient:
    """A client for the hub of the settings. The token goes to the hub alone: a redirect elsewhere drops it."""
    import httpx

    headers = {"User-Agent": "perijove"}
    if settings.hub_token is not None:
        headers["Authorization"] = f"Bearer {settings.hub_token.get_secret_value()}"
    return httpx.AsyncClient(
        base_url=settings.hub_url.rstrip("/"),
        headers=headers,
        follow_redirects=True,
        timeout=httpx.Timeout(30.0, connect=10.0),
    )


def file_url(plan: PullPlan, file: PlannedFile) -> str:
    return f"/{plan.repo}/resolve/{plan.commit}/{quote(file.name)}"


async def plan_pull(client: httpx.AsyncClient, source: HubSource) -> PullPlan:
    """Which files make the model.

    Raises:
        NotFound: no such repository, revision or file, or it needs a token.
        BadRequest: the repository holds no GGUF model.
        Unavailable: the hub cannot be reached.
    """
    listing = await _listing(client, source)
    by_name = {sibling.rfilename: sibling for sibling in listing.siblings if sibling.rfilename.endswith(".gguf")}
    first = source.file or _choose(source.repo, by_name)
    if first not in by_name:
        names = ", ".join(sorted(by_name)[:10]) or "none"
        raise NotFound(f"'{source.repo}' has no GGUF file '{first}'. It has: {names}.", param="source.file")
    parts = _parts(first)
    missing = [name for name in parts if name not in by_name]
    if missing:
        raise BadRequest(f"'{source.repo}' lacks {missing[0]}, a part of '{first}'.", param="source.file")
    return PullPlan(repo=source.repo, commit=listing.sha, files=[_planned(by_name[name]) for name in parts])


async def _listing(client: httpx.AsyncClient, source: HubSource) -> _Listing:
    import httpx

    url = f"/api/models/{source.repo}/revision/{quote(source.revision, safe='')}"
    try:
        async with client.stream("GET", url, params={"blobs": "true"}) as response:
            _check_status(response, source)
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_LISTING_BYTES:
                    raise BadGateway(
                        f"The hub's list of files of '{source.repo}' is too long. Try a smaller repository."
                    )
        return _Listing.model_validate_json(body)
    except httpx.HTTPError as error:
        raise Unavailable(
            f"The model hub at {client.base_url.host} cannot be reached ({describe(error)}). {OFFLINE_ADVICE}",
            code="hub_unreachable",
        ) from None
    except ValidationError:
        raise BadGateway(
            f"{client.base_url.host} did not answer as a Hugging Face hub does. Check HF_ENDPOINT.", code="hub_invalid"
        ) from None


def _check_status(response: httpx.Response, source: HubSource) -> None:
    if response.status_code in (401, 403, 404):
        raise NotFound(
            f"The hub has no '{source.repo}' at '{source.revision}' that this platform may read. Check the name; for "
            "a private or gated model, accept its terms on the hub and set HF_TOKEN.",
            param="source.repo",
            code="model_not_found",
        )
    if response.status_code == 429 or response.status_code >= 500:
        raise Unavailable(f"The hub answered {response.status_code}. Try again later.", code="hub_unreachable")
    if response.status_code != 200:
        raise BadGateway(f"The hub answered {response.status_code} for '{source.repo}'.", code="hub_invalid")


def describe(error: Exception) -> str:
    """An httpx error for a person; some of them have no text."""
    return str(error) or type(error).__name__


def _choose(repo: str, by_name: dict[str, _Sibling]) -> str:
    firsts = [name for name in sorted(by_name) if _is_first(name)]
    if not firsts:
        raise BadRequest(
            f"'{repo}' holds no GGUF model. Look for its GGUF form, which often has the same name ending in -GGUF.",
            param="source.repo",
            code="invalid_model",
        )
    for wanted in _PREFERENCE:
        pattern = re.compile(rf"(^|[-._/]){wanted}([-._/]|$)", re.IGNORECASE)
        for name in firsts:
            if pattern.search(name):
                return name
    return min(firsts, key=lambda name: by_name[name].size or 0)


def _is_first(name: str) -> bool:
    return bool(first_parts([_local(name)]))


def _parts(name: str) -> Sequence[str]:
    parent = PurePosixPath(name).parent
    return [str(parent / part.name) for part in split_parts(_local(name))]


def _local(name: str) -> Path:
    return Path(PurePosixPath(name).name)


def _planned(sibling: _Sibling) -> PlannedFile:
    sha256 = (sibling.lfs.sha256 or sibling.lfs.oid or "") if sibling.lfs else ""
    if not _SHA256.fullmatch(sha256) or sibling.size is None or sibling.size <= 0:
        raise BadGateway(
            f"The hub gives no checksum for '{sibling.rfilename}', so it cannot be verified.", code="hub_invalid"
        )
    return PlannedFile(name=sibling.rfilename, size=sibling.size, sha256=sha256)
