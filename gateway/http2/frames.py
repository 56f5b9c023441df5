"""Frames and errors of HTTP/2 (RFC 9113, sections 4, 6 and 7)."""

from enum import IntEnum
from struct import Struct

from hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADER_LIST = 2, 3, 4, 5, 6
HEADER_TABLE = 1
DEFAULT_WINDOW, MAX_WINDOW = 65_535, 2**31 - 1
FRAME_SIZE = 16_384
"""The largest frame that this side accepts, and sends unless the peer accepts larger ones."""

FRAME = Struct(">IBI")
"""Length and kind in one number, flags, stream."""
SETTING = Struct(">HI")


class Code(IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Http2Error(Exception):
    """A connection error, or with a stream a stream error."""

    def __init__(self, code: Code, stream: int = 0) -> None:
        super().__init__(code.name)
        self.code, self.stream = code, stream


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return FRAME.pack(len(payload) << 8 | kind, flags, stream) + payload


def numbers(payload: bytes, size: int) -> int:
    """The number that is the whole payload of a frame."""
    if len(payload) != size:
        raise Http2Error(Code.FRAME_SIZE_ERROR)
    return int.from_bytes(payload, "big")


def without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise Http2Error(Code.PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]


def header_block(*fields: tuple[str, str]) -> bytes:
    """Fields that are in no dynamic table, so the bytes are the same for every connection."""
    return Encoder().encode([(name, value, True) for name, value in fields], huffman=False)
