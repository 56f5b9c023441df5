"""Header blocks of requests: decompressed, validated (RFC 9113, section 8), and kept."""

import re
from dataclasses import dataclass
from functools import lru_cache

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from gateway.http2.frames import Code, Http2Error, header_block

KEPT = 64
NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])")
PSEUDO = {":method", ":scheme", ":path", ":authority"}
OF_ONE_CONNECTION = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
INDEXED = re.compile(rb"[\x81-\xfe]*")
GRPC = re.compile(r"application/grpc([+;].*)?")
LENGTH = re.compile(r"\d{0,9}", re.ASCII)
OTHER_TYPE = header_block((":status", "415"), ("content-type", "text/plain"))
OTHER_METHOD = header_block((":status", "405"), ("allow", "POST"), ("content-type", "text/plain"))
TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(slots=True)
class Head:
    """The headers of one call; the same object serves every call that sends the same block."""

    metadata: dict[str, str]
    malformed: bool
    """RFC 9113, section 8.1.1: a stream error."""
    request: bool
    """Begins a call; otherwise it may be the trailers of one."""
    unsupported: bytes | None
    """The header block of the answer to a request that is not gRPC."""
    deadline_seconds: float | None
    content_length: int | None


class _Table(HeaderTable):
    """Counts its changes."""

    changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)


class HeaderReader:
    """Decompresses the blocks of one connection in their order.

    Clients repeat themselves: a block that changed nothing in the decoder's table means the same as long as the table
    is the same, and is decompressed once. That is most of what a call would cost.
    """

    def __init__(self, largest: int) -> None:
        self._decoder = Decoder(max_header_list_size=largest)
        self._table = self._decoder.header_table = _Table()
        self._kept: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """Raises Http2Error: a block that cannot be decompressed ends the connection."""
        return self._kept.get(block) or self._decode(block)

    def _decode(self, block: bytes) -> Head:
        changes = self._table.changes
        try:
            head = head_of(self._fields(block))
        except OversizedHeaderListError:
            raise Http2Error(Code.ENHANCE_YOUR_CALM) from None
        except HPACKError:
            raise Http2Error(Code.COMPRESSION_ERROR) from None
        changed = self._table.changes != changes or is_size_update(block)
        if changed or len(self._kept) >= KEPT:
            self._kept.clear()
        if not changed:
            self._kept[block] = head
        return head

    def _fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields at the beginning that are only numbers are read from the table, in a fraction of the time."""
        numbers = INDEXED.match(block).end()  # type: ignore[union-attr]  # matches anything
        fields = [self._table.get_by_index(number & 0x7F) for number in block[:numbers]]
        if fields and is_size_update(block[numbers:]):
            raise HPACKError
        if numbers < len(block):
            fields += [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block[numbers:], raw=True)]
        if sum(len(name) + len(value) + 32 for name, value in fields) > self._decoder.max_header_list_size:
            raise OversizedHeaderListError
        return fields


def is_size_update(block: bytes) -> bool:
    """Whether it begins with a new size of the table, which only whole blocks may (RFC 7541, section 4.2)."""
    return bool(block) and block[0] & 0xE0 == 0x20


@lru_cache(512)
def text_of(name: bytes, value: bytes) -> tuple[str, str, bool]:
    """A field as text, and whether it is valid."""
    valid = NAME.fullmatch(name) and VALUE.fullmatch(value) and name not in OF_ONE_CONNECTION
    return name.decode("latin-1"), value.decode("latin-1"), bool(valid)


def head_of(fields: list[tuple[bytes, bytes]]) -> Head:
    metadata: dict[str, str] = {}
    malformed = regular = False
    for field in fields:
        name, value, valid = text_of(*field)
        if name[:1] == ":":
            valid = valid and not regular and name in PSEUDO and name not in metadata
        else:
            regular = True
        malformed |= not valid
        metadata[name] = f"{metadata[name]},{value}" if name in metadata else value
    length = metadata.get("content-length", "")
    malformed |= metadata.get("te", "trailers") != "trailers" or not LENGTH.fullmatch(length)
    request = bool(metadata.get(":path")) and ":method" in metadata and ":scheme" in metadata
    content_length = int(length) if length and not malformed else None
    return Head(metadata, malformed, request, unsupported(metadata), deadline(metadata), content_length)


def unsupported(metadata: dict[str, str]) -> bytes | None:
    """HTTP 415 and 405, as the gRPC protocol says for requests of another kind."""
    if not GRPC.fullmatch(metadata.get("content-type", "")):
        return OTHER_TYPE
    if metadata.get(":method") != "POST":
        return OTHER_METHOD
    return None


def deadline(metadata: dict[str, str]) -> float | None:
    """Seconds from ``grpc-timeout``; what is no such value counts as none."""
    found = TIMEOUT.fullmatch(metadata.get("grpc-timeout", ""))
    return int(found[1]) * UNITS[found[2]] if found else None
