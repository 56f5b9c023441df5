"""What a connection sends: frames within the peer's windows (RFC 9113, section 5.2), answers of calls, and its end."""

import asyncio
import logging
from struct import Struct

from gateway.http2 import frames
from gateway.http2.bounds import Bounds
from gateway.http2.calls import INITIAL, MESSAGE, SUCCEEDED, Call
from gateway.http2.frames import END_HEADERS, END_STREAM, FRAME_SIZE, Code, Http2Error, frame

log = logging.getLogger(__name__)

RESET = 256
"""How many streams that this side ended early are remembered: frames for them are still on their way."""
REPLY = Struct(f">IBI{len(INITIAL)}sIBIBI")
"""HEADERS with the initial headers, the head of DATA, the head of a message."""
END = Struct(f">IBI{len(SUCCEEDED)}s")
REPLY_HEADERS, END_FRAME = len(INITIAL) << 8 | frames.HEADERS, len(SUCCEEDED) << 8 | frames.HEADERS


class Sender(asyncio.Protocol):
    """The calls of a connection, and all that is written to it."""

    transport: asyncio.Transport
    peer = ""
    final = closing = size_update = flushing = receiving = False
    """``final``: the last GOAWAY is sent or received; ``size_update``: the next header block says that this side uses
    no dynamic table."""
    last = buffered = unsent = 0
    """``last``: the latest stream of the peer."""
    window = initial_window = frames.DEFAULT_WINDOW
    frame_size = FRAME_SIZE
    paused_since: float | None = None

    def __init__(self, bounds: Bounds) -> None:
        self.bounds, self.loop = bounds, asyncio.get_running_loop()
        self.calls: dict[int, Call] = {}
        self.waiting: dict[int, Call] = {}
        """Calls with data that the peer's windows do not allow yet."""
        self.reset: dict[int, None] = {}
        self.out: list[bytes] = []
        self.credit = bounds.overhead
        self.now = self.idle_since = self.loop.time()

    def write(self, data: bytes) -> None:
        """What is written in one iteration of the loop goes out together."""
        self.out.append(data)
        if not self.receiving and not self.flushing:
            self.flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self.flushing = False
        if self.out and not self.closing:
            self.transport.write(b"".join(self.out))
        self.out.clear()

    def pause_writing(self) -> None:
        """The peer does not read, so nothing is read from it either."""
        if not self.closing:
            self.paused_since = self.now = self.loop.time()
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.closing:
            self.paused_since = None
            self.transport.resume_reading()
            self._send_waiting()

    def sent_at_once(self, call: Call, message: bytes) -> bool:
        """Sends the whole answer of a unary call, unless something has to come first or wait."""
        size, stream = len(message) + MESSAGE.size, call.stream
        if size > min(self.window, call.window, self.frame_size) or self.paused_since is not None:
            return False
        if self.size_update or call.opened or call.trailers is not None:
            return False
        self.window -= size
        start = REPLY.pack(REPLY_HEADERS, END_HEADERS, stream, INITIAL, size << 8, 0, stream, 0, len(message))
        self.write(start + message + END.pack(END_FRAME, END_HEADERS | END_STREAM, stream, SUCCEEDED))
        self._finish(call)
        return True

    def send_headers(self, stream: int, block: bytes, flags: int = 0) -> None:
        if self.size_update:
            self.size_update, block = False, b"\x20" + block
        self.write(frame(frames.HEADERS, END_HEADERS | flags, stream, block))

    def waits(self, call: Call, size: int) -> None:
        """``size`` bytes were added to what a call has to send."""
        self.unsent += size
        if not self.waiting.setdefault(call.stream, call).unsent or len(call.unsent) == size:
            call.since = self.now
        self._send(call)
        if self.unsent > self.bounds.unsent and not call.closed:
            self._reset(call.stream, Code.ENHANCE_YOUR_CALM)

    def _send_waiting(self) -> None:
        for call in list(self.waiting.values()):
            self._send(call)

    def _send(self, call: Call) -> None:
        """As much as the peer's windows allow."""
        while size := self._sendable(call):
            last = call.trailers == b"" and size == len(call.unsent)
            self.write(frame(frames.DATA, END_STREAM if last else 0, call.stream, bytes(call.unsent[:size])))
            del call.unsent[:size]
            call.window -= size
            self.window -= size
            self.unsent -= size
            call.since = self.now
        if not call.unsent:
            self.waiting.pop(call.stream, None)
            if call.trailers:
                self.send_headers(call.stream, call.trailers, END_STREAM)
            if call.trailers is not None:
                self._finish(call)

    def _sendable(self, call: Call) -> int:
        """The size of the next DATA frame."""
        allowed = min(len(call.unsent), call.window, self.window, self.frame_size)
        return max(allowed, 0) if self.paused_since is None else 0

    def _grant(self, stream: int, size: int) -> None:
        self.write(frame(frames.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big")))

    def _finish(self, call: Call) -> None:
        self._remove(call)
        self.credit = min(self.credit + 4, self.bounds.overhead)
        if not call.ended:
            self._reset(call.stream, Code.NO_ERROR)
        self._close_if_done()

    def _reset(self, stream: int, code: Code) -> None:
        self.write(frame(frames.RST_STREAM, 0, stream, code.to_bytes(4, "big")))
        self.reset[stream] = None
        if len(self.reset) > RESET:
            del self.reset[next(iter(self.reset))]
        if (call := self.calls.get(stream)) is not None:
            self._cancel(call)

    def _cancel(self, call: Call) -> None:
        self._remove(call)
        call.cancelled = True
        call.run(call.on_cancel)
        self._close_if_done()

    def _remove(self, call: Call) -> None:
        call.closed = True
        del self.calls[call.stream]
        self.waiting.pop(call.stream, None)
        self.buffered -= len(call.buffer)
        self.unsent -= len(call.unsent)
        if not self.calls:
            self.idle_since = self.now

    def _close_if_done(self) -> None:
        if self.final and not self.calls and not self.closing:
            self._end()

    def _goaway(self, code: Code) -> None:
        self.write(frame(frames.GOAWAY, 0, 0, self.last.to_bytes(4, "big") + code.to_bytes(4, "big")))

    def _end(self) -> None:
        """Nothing more is sent. What the peer still sends is read and ignored until it closes too: closing at once
        would destroy what it has not read yet, such as the reason."""
        self._flush()
        self.closing, self.paused_since = True, self.now
        if not self.transport.is_closing():
            self.transport.write_eof()

    def _abort(self) -> None:
        self.closing = True
        self.transport.abort()

    def _fail(self, error: Http2Error) -> None:
        log.debug("Connection of %s ends: %s", self.peer, error)
        self._goaway(error.code)
        self._end()
