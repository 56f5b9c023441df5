"""Calls as services see them: messages in, messages and a status out (the gRPC protocol over HTTP/2)."""

import logging
import re
from collections.abc import Callable, Mapping
from struct import Struct
from typing import TYPE_CHECKING, Any, Protocol

from gateway.http2.frames import Code, Http2Error, header_block
from gateway.http2.headers import Head
from gateway.http2.status import Status

if TYPE_CHECKING:
    from gateway.http2.sending import Sender

log = logging.getLogger(__name__)

FIELDS = ((":status", "200"), ("content-type", "application/grpc"))
INITIAL, SUCCEEDED = header_block(*FIELDS), header_block(("grpc-status", "0"))
MESSAGE = Struct(">BI")
"""What precedes a message: compressed or not, its length."""
ONLY_GRPC = b"This port answers gRPC."
TEXT = 1_024
"""The characters of a status' text that are sent at most."""


def status_fields(status: int, text: str) -> tuple[tuple[str, str], ...]:
    """``grpc-message`` percent-encoded as the gRPC protocol says: all but printable ASCII, and the percent sign; also
    spaces at the ends, which a field value cannot have."""
    data = text[:TEXT].encode("utf-8", "replace")
    encoded = re.sub(rb"[^ -$&-~]|^ +| +$", lambda found: b"".join(b"%%%02X" % each for each in found[0]), data)
    return ("grpc-status", str(status)), ("grpc-message", encoded.decode())


class Call:
    """One call. Everything runs on the thread of the event loop.

    A service sets ``on_request`` to receive exactly one message, or ``on_message`` and ``on_end`` for any number, and
    answers with ``reply`` or ``fail``, or with any number of ``send`` and one ``close``; later answers do nothing.
    """

    on_request: "Callable[[Call, bytes], None] | None" = None
    on_message: Callable[[bytes], None] | None = None
    on_end: Callable[[], None] | None = None
    on_cancel: Callable[[], None] | None = None
    """The client does not wait for the answer any more, or the connection is lost."""
    cancelled = False
    ended = False
    """The client has sent everything."""
    closed = False
    opened = False
    """Initial headers are sent."""
    arrived = ungranted = 0
    trailers: bytes | None = None
    _held: bytes | None = None

    def __init__(self, connection: "Sender", stream: int, head: Head) -> None:
        self.connection, self.stream, self.head = connection, stream, head
        self.since, self.window = connection.now, connection.initial_window
        self.buffer, self.unsent = bytearray(), bytearray()

    @property
    def metadata(self) -> Mapping[str, str]:
        """Lower-case names, with ``:path`` and ``:authority``. Values of ``-bin`` names are Base64, as sent."""
        return self.head.metadata

    @property
    def deadline_seconds(self) -> float | None:
        return self.head.deadline_seconds

    @property
    def peer(self) -> str:
        """The IP address of the connection's other end; ``""`` if it has none."""
        return self.connection.peer

    def reply(self, message: bytes) -> None:
        """The one answer of a unary call, with status OK."""
        if not self.closed and not self.connection.sent_at_once(self, message):
            self.send(message)
            self.close()

    def fail(self, status: int, text: str) -> None:
        """The only answer, or the last part of one: a status of gRPC other than OK, and why."""
        self.close(status, text)

    def send(self, message: bytes) -> None:
        if not self.closed and self.trailers is None:
            self._open()
            self.unsent += MESSAGE.pack(0, len(message)) + message
            self.connection.waits(self, len(message) + MESSAGE.size)

    def close(self, status: int = 0, text: str = "") -> None:
        if not self.closed and self.trailers is None:
            fields = status_fields(status, text) if status else (("grpc-status", "0"),)
            only = () if self.opened else (*FIELDS, ("grpc-accept-encoding", "identity"))
            self.trailers = header_block(*only, *fields)
            self.connection.waits(self, 0)

    def _open(self) -> None:
        if not self.opened:
            self.opened = True
            self.connection.send_headers(self.stream, INITIAL)

    def run(self, callback: Callable[..., None] | None, *arguments: Any) -> None:
        """An error of a service ends its call and no other."""
        if callback is not None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("A call of %s failed", self.metadata.get(":path"))
                self.fail(Status.INTERNAL, "The service failed.")

    def receive(self, payload: bytes) -> None:
        """The payload of a DATA frame."""
        self.arrived += len(payload)
        if self.trailers is not None:
            return
        if self.head.unsupported is not None:
            if self.arrived > self.connection.bounds.message:
                raise Http2Error(Code.ENHANCE_YOUR_CALM, self.stream)
            return
        self.buffer += payload
        self.connection.buffered += len(payload)
        while not self.closed and self.trailers is None and (message := self._next_message()) is not None:
            self.since = self.connection.now
            self._deliver(message)
        if self.connection.buffered > self.connection.bounds.buffered:
            self.fail(Status.RESOURCE_EXHAUSTED, "Too many incomplete messages.")

    def _next_message(self) -> bytes | None:
        if len(self.buffer) < MESSAGE.size:
            return None
        compressed, length = MESSAGE.unpack_from(self.buffer)
        end = MESSAGE.size + length
        if compressed:
            self.fail(Status.UNIMPLEMENTED, "Messages may not be compressed.")
        elif length > self.connection.bounds.message:
            self.fail(Status.RESOURCE_EXHAUSTED, f"A message may have {self.connection.bounds.message} bytes.")
        elif len(self.buffer) >= end:
            message = bytes(self.buffer[MESSAGE.size : end])
            del self.buffer[:end]
            self.connection.buffered -= end
            return message
        return None

    def _deliver(self, message: bytes) -> None:
        if self.on_request is None:
            self.run(self.on_message, message)
        elif self._held is None:
            self._held = message
        else:
            self.fail(Status.UNIMPLEMENTED, "The method takes one message.")

    def end(self) -> None:
        """The client has sent everything."""
        if self.trailers is not None:
            return
        if self.head.content_length not in (None, self.arrived):
            raise Http2Error(Code.PROTOCOL_ERROR, self.stream)
        if self.head.unsupported is not None:
            self.opened, self.trailers = True, b""
            self.connection.send_headers(self.stream, self.head.unsupported)
            self.unsent += ONLY_GRPC
            self.connection.waits(self, len(ONLY_GRPC))
        elif self.buffer:
            self.fail(Status.INTERNAL, "The last message is incomplete.")
        elif self.on_request is None:
            self.run(self.on_end)
        elif self._held is None:
            self.fail(Status.UNIMPLEMENTED, "The method takes one message.")
        else:
            self.run(self.on_request, self, self._held)


class GrpcService(Protocol):
    def start(self, call: Call) -> None:
        """The headers of a call are complete: sets its callbacks, or fails it."""


class Methods:
    """A service of unary methods and methods with one request (``unary``) and of others (``streaming``), by path.

    A handler returns at once and may answer at any time later, on the same thread.
    """

    def __init__(
        self,
        unary: Mapping[str, Callable[[Call, bytes], None]],
        streaming: Mapping[str, Callable[[Call], None]] | None = None,
    ) -> None:
        self._unary, self._streaming = unary, streaming or {}

    def start(self, call: Call) -> None:
        path = call.metadata[":path"]
        if (handler := self._unary.get(path)) is not None:
            call.on_request = handler
        elif (begin := self._streaming.get(path)) is not None:
            begin(call)
        else:
            call.fail(Status.UNIMPLEMENTED, f"There is no method {path}.")
