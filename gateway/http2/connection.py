"""One HTTP/2 connection: what arrives, within bounds of size and time (RFC 9113)."""

import asyncio
from typing import cast

from gateway.http2 import frames
from gateway.http2.bounds import Bounds
from gateway.http2.calls import Call, GrpcService
from gateway.http2.frames import (
    END_HEADERS,
    END_STREAM,
    FRAME,
    FRAME_SIZE,
    MAX_WINDOW,
    Code,
    Http2Error,
    frame,
    numbers,
    without_padding,
)
from gateway.http2.headers import Head, HeaderReader
from gateway.http2.sending import Sender
from gateway.http2.status import Status

WINDOW = 1_048_576
"""How much a peer may send ahead on a connection; half of it at a time is granted again."""


class Http2Connection(Sender):
    """Answers calls with a service. It may take over a connection of which another protocol has read the first bytes,
    if it is given them too. ``connections`` contains every open connection."""

    greeted = ready = leaving = False
    """``ready``: preface and SETTINGS arrived; ``leaving``: drains."""
    rest = b""
    block: bytearray | None = None
    block_stream = block_flags = 0
    ungranted = 0
    """Received bytes for which no window is granted again."""

    def __init__(self, service: GrpcService, bounds: Bounds, connections: "set[Http2Connection]") -> None:
        super().__init__(bounds)
        self.service, self.connections = service, connections
        self.headers = HeaderReader(bounds.header_list)
        self.progress = self.now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.tick = self.loop.call_later(self.bounds.interval, self._compare_times)
        if len(self.connections) >= self.bounds.connections:
            self._abort()
            return
        self.connections.add(self)
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else ""
        values = (frames.MAX_STREAMS, self.bounds.streams), (frames.MAX_HEADER_LIST, self.bounds.header_list)
        settings = b"".join(frames.SETTING.pack(*pair) for pair in values)
        self.write(frame(frames.SETTINGS, 0, 0, settings))
        self._grant(0, WINDOW - frames.DEFAULT_WINDOW)

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        self.tick.cancel()
        self.connections.discard(self)
        for call in list(self.calls.values()):
            self._cancel(call)

    def drain(self) -> None:
        """Finishes the calls in progress, accepts those that the peer sends before it knows, and closes."""
        if not self.leaving and not self.closing:
            self.leaving = True
            self.write(frame(frames.GOAWAY, 0, 0, MAX_WINDOW.to_bytes(4, "big") + bytes(4)))
            self.write(frame(frames.PING, 0, 0, b"draining"))
            self.loop.call_later(self.bounds.drain if self.ready else 0, self._accept_no_more)

    def _accept_no_more(self) -> None:
        if not self.final and not self.closing:
            self._goaway(Code.NO_ERROR)
            self.final = True
            self._close_if_done()

    def _compare_times(self) -> None:
        """Ends what has lasted too long; runs every ``interval``."""
        self.now = now = self.loop.time()
        self.tick = self.loop.call_later(self.bounds.interval, self._compare_times)
        self.credit = self.bounds.overhead
        allowed = self.bounds.unread if self.transport.get_write_buffer_size() else self.bounds.drain
        if self.paused_since is not None and now - self.paused_since > allowed:
            self._abort()
        elif not self.closing:
            late = now - self.bounds.request
            if (self.rest or self.block is not None) and self.progress < late:
                self._fail(Http2Error(Code.ENHANCE_YOUR_CALM))
            elif not self.ready and self.idle_since < now - self.bounds.preface:
                self._fail(Http2Error(Code.PROTOCOL_ERROR))
            elif not self.calls and self.idle_since < now - self.bounds.idle:
                self.drain()
            self._end_late_calls(late, now - self.bounds.unread)

    def _end_late_calls(self, request: float, unread: float) -> None:
        for call in [call for call in self.waiting.values() if call.since < unread]:
            self._reset(call.stream, Code.CANCEL)
        for call in [call for call in self.calls.values() if not call.ended and call.since < request]:
            if call.on_request or call.head.unsupported or call.buffer:
                call.fail(Status.DEADLINE_EXCEEDED, "The request did not arrive in time.")

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.now, self.receiving = self.loop.time(), True
        try:
            self._read(self.rest + data if self.rest else data)
        except Http2Error as error:
            self._fail(error)
        finally:
            self.receiving = False
        self._flush()

    def _read(self, data: bytes) -> None:
        at, end = (0, len(data)) if self.greeted else (self._greet(data), len(data))
        while end - at >= FRAME.size and self.greeted and not self.closing:
            head, flags, stream = FRAME.unpack_from(data, at)
            if head >> 8 > FRAME_SIZE:
                raise Http2Error(Code.FRAME_SIZE_ERROR)
            stop = at + FRAME.size + (head >> 8)
            if stop > end:
                break
            try:
                self._frame(head & 0xFF, flags, stream & MAX_WINDOW, data[at + FRAME.size : stop])
            except Http2Error as error:
                if not error.stream:
                    raise
                self._reset(error.stream, error.code)
            at, self.progress = stop, self.now
        self.rest = data[at:]

    def _greet(self, data: bytes) -> int:
        if not data.startswith(frames.PREFACE[: len(data)]):
            raise Http2Error(Code.PROTOCOL_ERROR)
        self.greeted = len(data) >= len(frames.PREFACE)
        return len(frames.PREFACE) if self.greeted else 0

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if not self.ready and (kind != frames.SETTINGS or flags & frames.ACK):
            raise Http2Error(Code.PROTOCOL_ERROR)
        if self.block is not None and (kind, stream) != (frames.CONTINUATION, self.block_stream):
            raise Http2Error(Code.PROTOCOL_ERROR)
        if kind < len(HANDLERS):
            HANDLERS[kind](self, flags, stream, payload)
        else:
            self._spend()

    def _spend(self) -> None:
        """For a frame that brings no call forward."""
        self.credit -= 1
        if self.credit < 0:
            raise Http2Error(Code.ENHANCE_YOUR_CALM)

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self.ungranted += size
        if self.ungranted >= WINDOW // 2:
            self._grant(0, self.ungranted)
            self.ungranted = 0
        call = self.calls.get(stream)
        if call is None or call.ended:
            self._data_of_no_call(stream)
            return
        if flags & frames.PADDED:
            payload = without_padding(payload)
        call.ended = bool(flags & END_STREAM)
        if not call.ended:
            self._keep_open(call, size, payload)
        call.receive(payload)
        if call.ended and not call.closed:
            call.end()

    def _data_of_no_call(self, stream: int) -> None:
        self._spend()
        self._require_begun(stream)
        if stream not in self.reset:
            raise Http2Error(Code.STREAM_CLOSED, stream)

    def _keep_open(self, call: Call, size: int, payload: bytes) -> None:
        """The peer's window for a call that goes on; its ``size`` counts the padding, which brings nothing forward."""
        if not payload:
            self._spend()
        call.ungranted += size
        if call.ungranted >= frames.DEFAULT_WINDOW // 2:
            self._grant(call.stream, call.ungranted)
            call.ungranted = 0

    def _require_begun(self, stream: int) -> None:
        if stream > self.last or not stream & 1:
            raise Http2Error(Code.PROTOCOL_ERROR)

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        if not stream & 1:
            raise Http2Error(Code.PROTOCOL_ERROR)
        if flags & frames.PADDED:
            payload = without_padding(payload)
        if flags & frames.HAS_PRIORITY:
            self._require_priority(stream, payload[:5])
            payload = payload[5:]
        if flags & END_HEADERS:
            self._header_block(stream, flags, payload)
        else:
            self.block, self.block_stream, self.block_flags = bytearray(payload), stream, flags

    def _continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self.block is None:
            raise Http2Error(Code.PROTOCOL_ERROR)
        self._spend()
        self.block += payload
        if len(self.block) > self.bounds.header_list:
            raise Http2Error(Code.ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            block, self.block = bytes(self.block), None
            self._header_block(stream, self.block_flags, block)

    def _header_block(self, stream: int, flags: int, block: bytes) -> None:
        head, ended = self.headers.read(block), bool(flags & END_STREAM)
        if (call := self.calls.get(stream)) is not None:
            self._trailers(call, head, ended)
        elif stream > self.last:
            self.last = stream
            self._begin(stream, head, ended)
        elif stream in self.reset:
            self._spend()
        else:
            raise Http2Error(Code.STREAM_CLOSED if stream == self.last else Code.PROTOCOL_ERROR)

    def _begin(self, stream: int, head: Head, ended: bool) -> None:
        if head.malformed or not head.request or self.final or len(self.calls) >= self.bounds.streams:
            self._spend()
            raise Http2Error(Code.PROTOCOL_ERROR if head.malformed or not head.request else Code.REFUSED_STREAM, stream)
        call = self.calls[stream] = Call(self, stream, head)
        call.ended = ended
        if head.unsupported is None:
            call.run(self.service.start, call)
        if ended and not call.closed:
            call.end()

    def _trailers(self, call: Call, head: Head, ended: bool) -> None:
        if call.ended:
            raise Http2Error(Code.STREAM_CLOSED, call.stream)
        if not ended or head.malformed or next(iter(head.metadata), "").startswith(":"):
            raise Http2Error(Code.PROTOCOL_ERROR, call.stream)
        call.ended = True
        call.end()

    def _priority(self, flags: int, stream: int, payload: bytes) -> None:
        self._spend()
        self._require_priority(stream, payload)

    def _require_priority(self, stream: int, payload: bytes) -> None:
        """Priorities are ignored (RFC 9113, section 5.3.2) if they are well-formed."""
        if len(payload) != 5:
            raise Http2Error(Code.FRAME_SIZE_ERROR)
        if stream in (0, int.from_bytes(payload[:4], "big") & MAX_WINDOW):
            raise Http2Error(Code.PROTOCOL_ERROR)

    def _rst_stream(self, flags: int, stream: int, payload: bytes) -> None:
        numbers(payload, 4)
        self._require_begun(stream)
        self._spend()
        if (call := self.calls.get(stream)) is not None:
            self._cancel(call)

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        self._spend()
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR)
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise Http2Error(Code.FRAME_SIZE_ERROR)
        if not flags & frames.ACK:
            for name, value in frames.SETTING.iter_unpack(payload):
                self._set(name, value)
            self.ready = True
            self.write(frame(frames.SETTINGS, frames.ACK, 0))
            self._send_waiting()

    def _set(self, name: int, value: int) -> None:
        if name == frames.INITIAL_WINDOW:
            for call in self.calls.values():
                call.window = self._enlarged(call.window, value - self.initial_window)
            self.initial_window = self._enlarged(0, value)
        elif name == frames.MAX_FRAME:
            if not FRAME_SIZE <= value < 2**24:
                raise Http2Error(Code.PROTOCOL_ERROR)
            self.frame_size = value
        elif name == frames.HEADER_TABLE:
            self.size_update |= value < 4_096
        elif name == frames.ENABLE_PUSH and value > 1:
            raise Http2Error(Code.PROTOCOL_ERROR)

    def _enlarged(self, window: int, size: int, stream: int = 0) -> int:
        if window + size > MAX_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL_ERROR, stream)
        return window + size

    def _push_promise(self, flags: int, stream: int, payload: bytes) -> None:
        raise Http2Error(Code.PROTOCOL_ERROR)

    def _ping(self, flags: int, stream: int, payload: bytes) -> None:
        numbers(payload, 8)
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR)
        self._spend()
        if not flags & frames.ACK:
            self.write(frame(frames.PING, frames.ACK, 0, payload))
        elif self.leaving:
            self._accept_no_more()

    def _goaway_received(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Http2Error(Code.PROTOCOL_ERROR)
        if len(payload) < 8:
            raise Http2Error(Code.FRAME_SIZE_ERROR)
        self.final = True
        self._close_if_done()

    def _window_update(self, flags: int, stream: int, payload: bytes) -> None:
        size = numbers(payload, 4) & MAX_WINDOW
        self._spend()
        call = self.calls.get(stream)
        if stream and call is None:
            self._require_begun(stream)
        if not size:
            raise Http2Error(Code.PROTOCOL_ERROR, stream)
        if call is not None:
            call.window = self._enlarged(call.window, size, stream)
            if stream in self.waiting:
                self._send(call)
        elif not stream:
            self.window = self._enlarged(self.window, size)
            self._send_waiting()


HANDLERS = (
    *(Http2Connection._data, Http2Connection._headers, Http2Connection._priority, Http2Connection._rst_stream),
    *(Http2Connection._settings, Http2Connection._push_promise, Http2Connection._ping),
    *(Http2Connection._goaway_received, Http2Connection._window_update, Http2Connection._continuation),
)
"""By the kind of frame."""
