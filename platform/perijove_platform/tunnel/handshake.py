"""How a link begins and is resumed: one JSON text of each end, before the first frame.

The dialling end says hello with the link that it wants to resume, if any; the other one answers with the link that it
is from now on. What `resumed` says decides for both: when it is false, either end starts with a new `Link`.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from perijove_platform.tunnel.channel import Channel
from perijove_platform.tunnel.frames import ProtocolError

PROTOCOL = 1
LINK_GRACE_SECONDS = 30.0
HANDSHAKE_SECONDS = 10.0
MAX_HANDSHAKE_BYTES = 16 * 1024
MAX_REPLICAS = 64
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_MAX_TEXT = 256


class TextChannel(Channel, Protocol):
    """A channel that carries texts as well, as a WebSocket does."""

    async def send_text(self, message: str) -> None:
        """Raises `ChannelClosed`."""

    async def receive_text(self) -> str:
        """Raises `ChannelClosed`, or `ProtocolError` when what comes is no text."""


@dataclass(frozen=True, kw_only=True)
class KubernetesInfo:
    """Where an agent runs.

    Attributes:
        version: of the kube-apiserver, such as ``v1.34.4``; empty while it has not answered.
        namespace: the agent's own.
        uid: of the namespace ``kube-system``, which no two clusters share; ``None`` from an agent too old to tell.
    """

    version: str
    namespace: str
    uid: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hello:
    """What the dialling end says.

    Attributes:
        link: the one to resume; ``None`` for a new one.
        received: `Link.received` of it; 0 for a new one.
        agent: which process dials.
        version: of the dialling program.
        kubernetes: ``None`` when a replica of the platform dials.
    """

    link: str | None
    received: int
    agent: str
    version: str
    kubernetes: KubernetesInfo | None = None

    def to_json(self) -> str:
        return json.dumps({"protocol": PROTOCOL, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "Hello":
        """Raises `ProtocolError`, which says what is wrong."""
        fields = _Fields("hello", text)
        kubernetes = fields.mapping("kubernetes", optional=True)
        hello = cls(
            link=fields.id("link", optional=True),
            received=fields.number("received"),
            agent=fields.required_id("agent"),
            version=fields.text("version"),
            kubernetes=None
            if kubernetes is None
            else KubernetesInfo(
                version=kubernetes.text("version"),
                namespace=kubernetes.text("namespace"),
                uid=kubernetes.id("uid", optional=True),
            ),
        )
        if hello.link is None and hello.received:
            raise ProtocolError("A hello without a link has received something.")
        return hello


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """What the accepting end answers.

    Attributes:
        link: from now on.
        received: `Link.received` of it; 0 unless `resumed`.
        resumed: whether it is the one that the hello named. If not, both ends begin anew.
        replica: which one answers.
        replicas: all that there are, this one included: an agent dials until it has a link to each.
    """

    link: str
    received: int
    resumed: bool
    replica: str
    replicas: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps({"protocol": PROTOCOL, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "Welcome":
        """Raises `ProtocolError`, which says what is wrong."""
        fields = _Fields("welcome", text)
        welcome = cls(
            link=fields.required_id("link"),
            received=fields.number("received"),
            resumed=fields.truth("resumed"),
            replica=fields.required_id("replica"),
            replicas=fields.ids("replicas"),
        )
        if welcome.received and not welcome.resumed:
            raise ProtocolError("A welcome to a new link has received something.")
        return welcome


async def say_hello(channel: TextChannel, hello: Hello) -> Welcome:
    """The dialling end's part.

    Raises:
        ChannelClosed: the other end closed, see its code.
        ProtocolError: it answered something else.
        TimeoutError: it did not answer within `HANDSHAKE_SECONDS`.
    """
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        await channel.send_text(hello.to_json())
        welcome = Welcome.from_json(await channel.receive_text())
    if welcome.resumed and welcome.link != hello.link:
        raise ProtocolError(f"Link {welcome.link} was resumed instead of {hello.link}.")
    return welcome


async def receive_hello(channel: TextChannel) -> Hello:
    """The accepting end's first part; it answers with `Welcome.to_json`.

    Raises:
        ChannelClosed: the other end closed.
        ProtocolError: it said something else.
        TimeoutError: it said nothing within `HANDSHAKE_SECONDS`.
    """
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        return Hello.from_json(await channel.receive_text())


def told_replicas(target: Mapping[str, Any]) -> tuple[str, ...]:
    """The replicas that there are now, as the accepting end tells later by the target ``replicas``.

    Raises:
        ProtocolError: there is no such list.
    """
    return _Fields("target", target).ids("replicas")


class _Fields:
    """The members of a JSON object, each with its type checked. Unknown ones are ignored: newer ends may add some."""

    def __init__(self, what: str, value: str | Mapping[str, Any]) -> None:
        self._what = what
        self._values = self._parse(value) if isinstance(value, str) else value

    def _parse(self, text: str) -> Mapping[str, Any]:
        if len(text) > MAX_HANDSHAKE_BYTES:
            raise ProtocolError(f"The {self._what} is longer than {MAX_HANDSHAKE_BYTES} characters.")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ProtocolError(f"The {self._what} is not JSON.") from None
        if not isinstance(values, dict):
            raise ProtocolError(f"The {self._what} is not an object.")
        if values.get("protocol") != PROTOCOL or isinstance(values.get("protocol"), bool):
            raise ProtocolError(
                f"The {self._what} is of protocol {values.get('protocol')!r:.20}; this end knows {PROTOCOL}. "
                "Bring the agent and the platform to the same version."
            )
        return values

    def _bad(self, name: str, wanted: str) -> ProtocolError:
        return ProtocolError(f"`{name}` of the {self._what} is not {wanted}.")

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not (value.isprintable() or not value):
            raise self._bad(name, f"a text of at most {_MAX_TEXT} characters")
        return value

    def id(self, name: str, *, optional: bool = False) -> str | None:
        value = self._values.get(name)
        if value is None and optional:
            return None
        if not isinstance(value, str) or not _ID.match(value):
            raise self._bad(name, "an id")
        return value

    def required_id(self, name: str) -> str:
        value = self.id(name)
        assert value is not None
        return value

    def ids(self, name: str) -> tuple[str, ...]:
        values = self._values.get(name)
        if not isinstance(values, list) or len(values) > MAX_REPLICAS:
            raise self._bad(name, f"a list of at most {MAX_REPLICAS}")
        if not all(isinstance(value, str) and _ID.match(value) for value in values):
            raise self._bad(name, "a list of ids")
        return tuple(values)

    def number(self, name: str) -> int:
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
            raise self._bad(name, "a number from 0")
        return value

    def truth(self, name: str) -> bool:
        value = self._values.get(name)
        if not isinstance(value, bool):
            raise self._bad(name, "true or false")
        return value

    def mapping(self, name: str, *, optional: bool = False) -> "_Fields | None":
        value = self._values.get(name)
        if value is None and optional:
            return None
        if not isinstance(value, dict):
            raise self._bad(name, "an object")
        return _Fields(f"{self._what}'s {name}", value)
