"""A peer that sends any frames it likes."""

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from hpack import Decoder, Encoder

from gateway.http2 import frames
from gateway.http2.frames import Code, frame

GRPC = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/t/echo",
    ":authority": "localhost",
    "te": "trailers",
    "content-type": "application/grpc",
}


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        return int.from_bytes(self.payload[-4:], "big")


def message(content: bytes, compressed: int = 0) -> bytes:
    """With the prefix of the gRPC protocol."""
    return struct.pack(">BI", compressed, len(content)) + content


def parsed(data: bytes) -> Iterator[Frame]:
    """The complete frames in these bytes."""
    while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
        end = 9 + int.from_bytes(data[:3], "big")
        yield Frame(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:end])
        data = data[end:]


class Peer:
    """Has sent the preface and SETTINGS, unless ``greet`` is false."""

    def __init__(self, port: int, settings: bytes = b"", *, greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.encoder, self.decoder = Encoder(), Decoder()
        if greet:
            self.send(frames.PREFACE + frame(frames.SETTINGS, 0, 0, settings))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_until_closed(self, data: bytes, times: int) -> None:
        """A flood; the other end may stop it."""
        try:
            for _ in range(times):
                self.socket.sendall(data)
        except OSError:
            return

    def block(self, **changed: str) -> bytes:
        """The header block of a request; ``path="/t/x"`` changes a field."""
        names = {"path": ":path", "method": ":method", "content_type": "content-type"}
        fields = GRPC | {names.get(name, name.replace("_", "-")): value for name, value in changed.items()}
        return self.encoder.encode(list(fields.items()))

    def headers(self, stream: int, *, end: bool = False, **changed: str) -> None:
        flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
        self.send(frame(frames.HEADERS, flags, stream, self.block(**changed)))

    def data(self, stream: int, payload: bytes, *, end: bool = True) -> None:
        self.send(frame(frames.DATA, frames.END_STREAM if end else 0, stream, payload))

    def ask(self, stream: int, content: bytes = b"", **changed: str) -> None:
        self.headers(stream, **changed)
        self.data(stream, message(content))

    def read(self) -> Frame | None:
        """The next frame; None at the end."""
        head = self._exactly(9)
        if head is None:
            return None
        payload = self._exactly(int.from_bytes(head[:3], "big"))
        return None if payload is None else Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    def _exactly(self, size: int) -> bytes | None:
        found = b""
        while len(found) < size:
            try:
                part = self.socket.recv(size - len(found))
            except ConnectionError:
                return None
            if not part:
                return None
            found += part
        return found

    def next(self, kind: int) -> Frame:
        """The next frame of a kind; frames before it are skipped."""
        while (found := self.read()) is not None:
            if found.kind == kind:
                return found
        raise AssertionError("the connection is closed")

    def fields(self) -> dict[str, str]:
        """Of the next HEADERS frame."""
        return dict(self.decoder.decode(self.next(frames.HEADERS).payload))

    def status(self) -> str:
        """The status of gRPC that comes next."""
        while "grpc-status" not in (fields := self.fields()):
            pass
        return fields["grpc-status"]

    def code(self) -> Code:
        """Of the GOAWAY frame before the connection is closed."""
        goaway = self.next(frames.GOAWAY)
        while self.read() is not None:
            pass
        return Code(goaway.number)

    def is_closed(self) -> bool:
        """Reads to the end."""
        while self.read() is not None:
            pass
        return True
