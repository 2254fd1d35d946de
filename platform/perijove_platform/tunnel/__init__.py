"""The tunnel between a cluster's agent and the platform: many byte streams in one WebSocket that the agent dialled.

Numbered streams, credit per stream, numbered frames and a bounded replay buffer: a link that is cut goes on after the
agent has dialled again, without a byte lost or doubled. `Link` is the same at both ends; it knows nothing of HTTP,
Kubernetes or accounts.
"""

from perijove_platform.tunnel.channel import Channel, ChannelClosed, CloseCode
from perijove_platform.tunnel.frames import ProtocolError
from perijove_platform.tunnel.link import Limits, Link
from perijove_platform.tunnel.stream import Refused, Stream, StreamReset

__all__ = [
    "Channel",
    "ChannelClosed",
    "CloseCode",
    "Limits",
    "Link",
    "ProtocolError",
    "Refused",
    "Stream",
    "StreamReset",
]
