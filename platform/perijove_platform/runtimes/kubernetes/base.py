"""What this package needs of others: the way into a cluster."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from perijove_platform.tunnel import Stream


class Tunnels(Protocol):
    """Streams into clusters, over whichever replica holds an agent's link; `sessions/` implements it."""

    async def open(self, cluster_id: str, target: Mapping[str, Any]) -> Stream:
        """A stream to what `target` names (see "Targets" of the developers' page), asked for as `Link.begin` does.

        It is returned before the agent has accepted it, so that a request's body can be written at once: the agent
        answers a `kubernetes` target only when it has read the body. `Stream.wait_opened` waits for that and raises
        `Refused` when the agent does not open it. Resetting the stream ends it at the agent too.

        Raises:
            errors.Unavailable: no replica holds a link; its code is ``cluster_unreachable``.
            tunnel.StreamReset: the link was lost, or has too many streams.
        """
        ...

    def connected(self, cluster_id: str) -> bool:
        """Whether a stream can be opened now, as far as is known here."""
        ...

    def watch(self) -> AsyncIterator[tuple[str, bool]]:
        """Cluster ids with whether they are connected: all clusters as they stand, then every change, pushed.

        Any number of watchers. One that lags is told the newest of each cluster; only what lies between is left out.
        """
        ...
