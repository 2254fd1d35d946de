"""Frames on the wire.

A message of the WebSocket holds one or more frames, each a header and a payload. The header is, in network order: type
(1 byte), stream (4), sequence number (8), length of the payload (4). Frames that change a stream are *sequenced*: they
are numbered from 1 in each direction, kept until acknowledged, and sent again after a cut. The others carry 0, except
`ACK`, whose number is the last one received.
"""

import enum
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

HEADER = struct.Struct(">BIQI")
MAX_DATA_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_MESSAGE_BYTES = 512 * 1024
# Of one message that is sent: short enough that a slow network delivers it long before its end counts as silent.
BATCH_BYTES = 160 * 1024


class FrameType(enum.IntEnum):
    OPEN = 1  # JSON: what to dial
    OPENED = 2  # JSON: what the other end says about it
    DATA = 3
    FIN = 4  # no more data from this end
    RESET = 5  # JSON: {"code", "message"}; the stream is gone in both directions
    CREDIT = 6  # 4 bytes: how many more the other end may send
    ACK = 16
    PING = 17
    PONG = 18


SEQUENCED = frozenset(kind for kind in FrameType if kind < FrameType.ACK)


class ProtocolError(Exception):
    """The other end broke the rules; the channel has to be closed."""


class Frame(NamedTuple):
    kind: FrameType
    stream: int
    sequence: int
    payload: memoryview


def encode(kind: FrameType, stream: int = 0, sequence: int = 0, payload: bytes | memoryview = b"") -> bytes:
    """Raises `ValueError` when the payload is larger than the other end takes."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"A frame of {len(payload)} bytes is too large: at most {MAX_PAYLOAD_BYTES}.")
    return b"".join((HEADER.pack(kind, stream, sequence, len(payload)), payload))


def decode(message: bytes) -> Iterator[Frame]:
    """The frames of a message.

    Raises:
        ProtocolError: the message is not made of whole frames, or a frame is unknown or too large.
    """
    view = memoryview(message)
    position = 0
    while position < len(view):
        if len(view) - position < HEADER.size:
            raise ProtocolError("A message ends within a frame's header.")
        number, stream, sequence, length = HEADER.unpack_from(view, position)
        position += HEADER.size
        if length > MAX_PAYLOAD_BYTES or len(view) - position < length:
            raise ProtocolError(f"A frame says that it has {length} bytes.")
        try:
            kind = FrameType(number)
        except ValueError:
            raise ProtocolError(f"There is no frame type {number}.") from None
        yield Frame(kind, stream, sequence, view[position : position + length])
        position += length


def encode_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def decode_json(payload: bytes | memoryview) -> dict[str, Any]:
    """A payload that is a JSON object.

    Raises:
        ProtocolError: it is not.
    """
    try:
        value = json.loads(bytes(payload))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"A frame's JSON cannot be read: {error}.") from None
    if not isinstance(value, dict):
        raise ProtocolError("A frame's JSON is not an object.")
    return value
