"""One HTTP/1.1 connection: answers requests in order, and bounds their number and duration.

A connection costs a few kilobytes while it is silent. Everything that a caller can send without a valid token is
bounded: headers, the part of a body before its token was checked, requests sent ahead of their answers, answers that
the caller does not read, and the time for each of them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import httptools
from django.http import HttpResponse

from api.problems import BODY_TOO_SLOW, problem_response
from api.rendering import Rendered
from gateway.http1.reader import Refused, RequestReader
from gateway.http1.request import GatewayRequest
from gateway.http1.response import CLOSE, CONTINUE, KEEP_ALIVE, rendered, to_bytes

SLICE_BYTES = 4_096
"""Bytes that are read at once; the requests in them are read even if they are more than ``MAX_AHEAD``."""
MAX_AHEAD = 16
"""Requests that a connection may send before the answer to an earlier one (pipelining)."""
HEADER_SECONDS = 10.0
BODY_SECONDS = 10.0
IDLE_SECONDS = 75.0
ANSWER_SECONDS = 60.0
"""Seconds after which a request without an answer is given up; every view takes less."""
WRITE_SECONDS = 30.0
"""Seconds for a caller to read what was sent."""
LINGER_SECONDS = 2.0
DRAIN_IDLE_SECONDS = 2.0
"""Seconds for the next request of a connection that the server wants to close: a request that is on its way when the
connection closes would get no answer."""
MAX_UNREAD_BYTES = 1 << 20

Answer = Callable[[HttpResponse | Rendered], None]

logger = logging.getLogger(__name__)


class Application(Protocol):
    """What answers the requests."""

    def body_limit(self, path: str) -> int:
        """The maximum size of a body in bytes."""

    def needs_token(self, request: GatewayRequest, length: int) -> bool:
        """Whether the body may be read only after :meth:`check_token`."""

    def check_token(self, request: GatewayRequest, answer: Callable[[HttpResponse | None], None]) -> None:
        """Calls ``answer`` in the event loop: with None if the body may be read, else with the response."""

    def find(self, data: bytes, peer: str) -> GatewayRequest | None:
        """The request, if ``data`` is exactly one with a head that is known; None: it has to be parsed."""

    def handle(self, request: GatewayRequest, answer: Answer) -> None:
        """Calls ``answer`` once, in the event loop, now or later. Must not block."""

    def added_headers(self, request: GatewayRequest) -> str:
        """Header lines that every response has."""


class Http1Connection(asyncio.Protocol):
    """Created for each connection; ``connections`` contains those that are open."""

    def __init__(self, application: Application, connections: "set[Http1Connection]") -> None:
        self._application = application
        self._connections = connections
        self._ahead: deque[GatewayRequest] = deque()
        self._unread = b""
        self._whole = b""
        """What arrived while nothing of a request had been read, while it is read."""
        self._refusal: HttpResponse | None = None
        self._write_ends: float | None = None
        self._busy = self._advances = self._checks_token = self._expects = False
        self._paused = self._draining = False
        self._ended = False
        """Nothing that arrives from now on is read."""

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNREAD_BYTES)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._reader = RequestReader(self, self._peer)
        self._connections.add(self)
        self._wait(HEADER_SECONDS)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._ended = True
        self._unread = b""
        self._ahead.clear()

    def pause_writing(self) -> None:
        """The caller does not read its answers."""
        self._write_ends = time.monotonic() + WRITE_SECONDS
        self._pause()

    def resume_writing(self) -> None:
        self._write_ends = None
        self._advance()

    def drain(self) -> None:
        """Closes the connection after the requests that have begun, or soon if there are none."""
        if not self._draining:
            self._draining = True
            if not self._has_work() and not self._reader.in_request:
                self._wait(DRAIN_IDLE_SECONDS)

    def expire(self, now: float) -> None:
        """Ends the connection if the caller took too long. Called about once a second."""
        if self._write_ends is not None and now >= self._write_ends:
            self._transport.abort()
        elif now >= self._ends:
            self._expire()

    def _expire(self) -> None:
        if self._busy or self._transport.is_closing():
            self._transport.abort()
        elif self._reader.in_body and not self._ended:
            self._refuse(problem_response(BODY_TOO_SLOW, f"The body took longer than {BODY_SECONDS:.0f} seconds."))
        else:
            self._close()

    def _wait(self, seconds: float) -> None:
        """Sets the time for what is to happen next."""
        self._ends = time.monotonic() + seconds

    def _close(self) -> None:
        """Closes the connection once the caller has read the answers, or does not read them in time."""
        self._ended = True
        self._wait(WRITE_SECONDS)
        self._transport.close()

    def _has_work(self) -> bool:
        return self._busy or bool(self._ahead) or self._refusal is not None

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._unread or self._reader.in_request or self._has_work() or self._must_wait():
            self._read(self._unread + data)
        elif (request := self._application.find(data, self._peer)) is not None:
            self._handle(request)
        else:
            self._whole = data
            self._read(data)
            self._whole = b""

    def eof_received(self) -> bool:
        """A caller that has sent everything still receives the answers."""
        self._ended = self._draining = True
        if not self._has_work():
            self._wait(WRITE_SECONDS)
        return self._has_work()

    def _read(self, data: bytes) -> None:
        position, self._unread = 0, b""
        try:
            while position < len(data) and not self._ended and not self._must_wait():
                self._reader.feed(data[position : position + SLICE_BYTES])
                position += SLICE_BYTES
        except Refused as refused:
            if not self._ended:
                self._refuse(problem_response(refused.problem, refused.detail))
        except httptools.HttpParserCallbackError:
            logger.exception("A request could not be read.")
            self._transport.abort()
        self._unread = b"" if self._ended else data[position:]
        if self._must_wait():
            self._pause()

    def _must_wait(self) -> bool:
        return len(self._ahead) >= MAX_AHEAD or self._checks_token or self._write_ends is not None

    def _read_on(self) -> None:
        """Reads what has arrived while reading was paused, and resumes it."""
        if self._unread and not self._must_wait():
            self._read(self._unread)
        if not self._must_wait():
            self._resume()

    def body_limit(self, path: str) -> int:
        """Part of :class:`~gateway.http1.reader.Receiver`."""
        return self._application.body_limit(path)

    def request_began(self) -> None:
        """Part of :class:`~gateway.http1.reader.Receiver`."""
        if not self._busy:
            self._wait(HEADER_SECONDS)

    def head_complete(self, request: GatewayRequest, length: int) -> None:
        """Part of :class:`~gateway.http1.reader.Receiver`."""
        meta = request.META
        if length and not self._busy:
            self._wait(BODY_SECONDS)
        if "HTTP_EXPECT" in meta and (length or "HTTP_TRANSFER_ENCODING" in meta):
            self._expects = meta["HTTP_EXPECT"].lower() == "100-continue"
        # The body cannot end in the slice that is being read: it is longer.
        if length > SLICE_BYTES and self._application.needs_token(request, length):
            self._checks_token = True
            self._application.check_token(request, self._token_checked)
        elif self._expects:
            self._invite_body()

    def _token_checked(self, response: HttpResponse | None) -> None:
        self._checks_token = False
        if self._ended:
            return
        if response is not None:
            self._refuse(response)
            return
        if not self._busy:
            self._wait(BODY_SECONDS)
        self._invite_body()
        self._read_on()

    def _invite_body(self) -> None:
        """Sends “100 Continue” if the caller waits for it, after the answers to earlier requests."""
        if self._expects and not self._has_work() and not self._checks_token:
            self._expects = False
            self._transport.write(CONTINUE)

    def request_complete(self, request: GatewayRequest, *, keeps_alive: bool) -> None:
        """Part of :class:`~gateway.http1.reader.Receiver`."""
        self._expects = False
        if self._ended:
            return
        self._ended = not keeps_alive
        request.data, self._whole = self._whole, b""
        if self._busy or self._ahead or self._write_ends is not None:
            self._ahead.append(request)
        else:
            self._handle(request)

    # Answering

    def _handle(self, request: GatewayRequest) -> None:
        self._busy = True
        self._wait(ANSWER_SECONDS)

        def answer(response: HttpResponse | Rendered) -> None:
            self._answer(request, response)

        self._application.handle(request, answer)

    def _answer(self, request: GatewayRequest, response: HttpResponse | Rendered) -> None:
        self._busy = False
        if self._transport.is_closing():
            return
        last = self._is_last()
        self._write(request, response, CLOSE if last else _persistence(request))
        if last:
            self._close()
        elif not self._advances:
            self._advance()

    def _is_last(self) -> bool:
        if self._ahead or self._refusal is not None:
            return False
        return self._ended or (self._draining and not self._unread and not self._reader.in_request)

    def _write(self, request: GatewayRequest, response: HttpResponse | Rendered, connection: str) -> None:
        added, head = self._application.added_headers(request), request.method == "HEAD"
        self._transport.write(to_bytes(rendered(response), added, head=head, connection=connection))

    def _advance(self) -> None:
        """Handles the next requests, until one has to wait for its answer or the caller has to read earlier ones."""
        self._advances = True
        while self._ahead and not self._busy and self._write_ends is None:
            self._handle(self._ahead.popleft())
        self._advances = False
        if not self._busy and not self._ahead and not self._transport.is_closing():
            self._all_answered()

    def _all_answered(self) -> None:
        if self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        if self._reader.in_request:
            self._wait(BODY_SECONDS if self._reader.in_body else HEADER_SECONDS)
            self._invite_body()
        else:
            self._wait(DRAIN_IDLE_SECONDS if self._draining else IDLE_SECONDS)
        if self._paused:
            self._read_on()

    def _refuse(self, response: HttpResponse) -> None:
        """Answers a request of which not everything was read, after earlier requests, and closes the connection."""
        self._ended = True
        self._unread = b""
        if self._has_work():
            self._refusal = response
            self._pause()
        else:
            self._send_refusal(response)

    def _send_refusal(self, response: HttpResponse) -> None:
        self._refusal = None
        self._write(self._reader.request, response, CLOSE)
        self._linger()

    def _linger(self) -> None:
        """Ignores what the caller still sends until it has read the response: closing a socket with unread data makes
        the kernel reset the connection, and the response can be lost (RFC 9112, section 9.6)."""
        self._wait(LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._resume()

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()


def _persistence(request: GatewayRequest) -> str:
    is_older = "HTTP_CONNECTION" in request.META and request.META["SERVER_PROTOCOL"] == "HTTP/1.0"
    return KEEP_ALIVE if is_older else ""
