"""What of a request goes on to the platform, and what of its answer comes back to the browser."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote, unquote_plus

Header = tuple[str, str]

# RFC 9110, section 7.6.1, and the older ones that proxies still meet.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The browser's identity towards Jupyter, and where it stands: none of the platform's business.
BROWSERS_OWN = frozenset(
    {"authorization", "cookie", "expect", "forwarded", "host", "origin", "referer", "x-real-ip", "x-xsrftoken"}
)
BROWSERS_OWN_PREFIXES = ("x-forwarded-", "sec-")
# What only Jupyter may say on its own origin.
JUPYTERS_OWN = frozenset(
    {
        "clear-site-data",
        "content-security-policy",
        "date",
        "server",
        "set-cookie",
        "strict-transport-security",
        "x-content-type-options",
    }
)
JUPYTERS_OWN_PREFIXES = ("access-control-",)
# Jupyter's own query arguments: its token, its XSRF token, and its word on activity.
JUPYTERS_ARGUMENTS = frozenset({"token", "_xsrf", "no_track_activity"})


def to_platform(headers: Iterable[Header], api_key: str) -> list[Header]:
    """The request's headers with the platform's key in the place of Jupyter's."""
    kept = _kept(list(headers), BROWSERS_OWN, BROWSERS_OWN_PREFIXES)
    return [*kept, ("Authorization", f"Bearer {api_key}")]


def to_browser(headers: Iterable[Header]) -> list[Header]:
    """The answer's headers, without those that Jupyter says itself."""
    return list(_kept(list(headers), JUPYTERS_OWN, JUPYTERS_OWN_PREFIXES))


def _kept(headers: list[Header], dropped: frozenset[str], prefixes: tuple[str, ...]) -> Iterator[Header]:
    named = {name.strip().lower() for key, value in headers if key.lower() == "connection" for name in value.split(",")}
    for key, value in headers:
        name = key.lower()
        if name not in HOP_BY_HOP and name not in dropped and name not in named and not name.startswith(prefixes):
            yield key, value


def query_to_platform(query: str) -> str:
    """The raw query string without Jupyter's arguments; the rest is not touched."""
    kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]) not in JUPYTERS_ARGUMENTS]
    return "&".join(kept)


def leaves_its_folder(path: str) -> bool:
    """Whether a raw path has dot segments: with them it could leave the platform's place on its host."""
    return any(segment in (".", "..") for segment in unquote(path).replace("\\", "/").split("/"))
