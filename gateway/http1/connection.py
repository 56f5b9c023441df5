"""One HTTP/1.1 connection: parses requests, answers them in order, and bounds their size and duration.

A connection costs a few kilobytes while it is silent. Everything that a caller can send without a valid token is
bounded: headers, the part of a body before its token was checked, requests sent ahead of their answers, and the time
for each of them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import unquote_to_bytes

import httptools
from django.http import HttpResponse

from api.problems import BAD_REQUEST, BODY_TOO_LARGE, BODY_TOO_SLOW, problem_response
from api.rendering import Rendered
from gateway.http1.request import GatewayRequest, meta_name
from gateway.http1.response import CONTINUE, rendered, to_bytes

MAX_HEADER_BYTES = 65_536
MAX_AHEAD = 16
"""Requests that a connection may send before the answer to an earlier one (pipelining)."""
HEADER_SECONDS = 10.0
BODY_SECONDS = 10.0
IDLE_SECONDS = 75.0
WRITE_SECONDS = 30.0
"""Seconds for a caller to read what was sent."""
LINGER_SECONDS = 2.0
MAX_UNREAD_BYTES = 1 << 20

Answer = Callable[[HttpResponse | Rendered], None]


class Application(Protocol):
    """What answers the requests."""

    def body_limit(self, path: str) -> int:
        """The maximum size of a body in bytes."""

    def needs_token(self, request: GatewayRequest, length: int) -> bool:
        """Whether the body may be read only after :meth:`check_token`."""

    def check_token(self, request: GatewayRequest, answer: Callable[[HttpResponse | None], None]) -> None:
        """Calls ``answer`` in the event loop: with None if the body may be read, else with the response."""

    def handle(self, request: GatewayRequest, answer: Answer) -> None:
        """Calls ``answer`` once, in the event loop, now or later. Must not block."""

    def added_headers(self, request: GatewayRequest) -> str:
        """Header lines that every response has."""


class Http1Connection(asyncio.Protocol):
    """Created for each connection; ``connections`` contains those that are open."""

    def __init__(self, application: Application, connections: "set[Http1Connection]") -> None:
        self._application = application
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._ahead: deque[tuple[GatewayRequest, bool]] = deque()
        self._busy = self._closes = self._paused = self._draining = False
        self._answered_early = False
        self._peer = ""
        self._start_request()

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MAX_UNREAD_BYTES)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._connections.add(self)
        self.ends: float | None = time.monotonic() + HEADER_SECONDS

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._closes = True
        self._ahead.clear()

    def pause_writing(self) -> None:
        """The caller does not read its answers."""
        self.ends = time.monotonic() + WRITE_SECONDS
        self._pause()

    def resume_writing(self) -> None:
        self._resume()

    def drain(self) -> None:
        """Closes the connection after the requests that have begun."""
        self._draining = True
        if not self._busy and not self._in_request and not self._ahead:
            self._transport.close()

    def expire(self, now: float) -> None:
        """Ends the connection if the caller took too long. Called about once a second."""
        if self.ends is None or now < self.ends:
            return
        if self._in_body and not self._busy and not self._closes:
            self._reject(problem_response(BODY_TOO_SLOW, f"The body took longer than {BODY_SECONDS:.0f} seconds."))
        else:
            self._transport.abort() if self._paused else self._transport.close()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._closes:
            return
        self._unparsed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._reject(problem_response(BAD_REQUEST, "The server does not support other protocols."))
        except httptools.HttpParserError:
            self._reject(problem_response(BAD_REQUEST, "The request is not valid HTTP/1.1."))
        else:
            if self._in_request and not self._in_body and self._unparsed > MAX_HEADER_BYTES:
                self._reject(problem_response(BAD_REQUEST, f"The headers have more than {MAX_HEADER_BYTES:,} bytes."))

    def eof_received(self) -> bool:
        """A caller that has sent everything still receives the answers."""
        self._draining = True
        return not self._closes and (self._busy or bool(self._ahead))

    def on_message_begin(self) -> None:
        self._in_request = True
        self.ends = time.monotonic() + HEADER_SECONDS

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = meta_name(name)
        if key is not None:
            text = value.decode("latin-1")
            before = self._meta.get(key)
            self._meta[key] = text if before is None else f"{before},{text}"

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._unparsed = 0
        request = self._request = self._parsed_head()
        length, limit = int(self._meta.get("CONTENT_LENGTH") or 0), self._application.body_limit(request.path)
        if length > limit:
            self._reject(problem_response(BODY_TOO_LARGE, f"The body has more than {limit:,} bytes."))
            return
        if length:
            self.ends = time.monotonic() + BODY_SECONDS
        if self._application.needs_token(request, length):
            self._pause()
            self._application.check_token(request, self._token_checked)
        elif "HTTP_EXPECT" in self._meta:
            self._transport.write(CONTINUE)

    def _parsed_head(self) -> GatewayRequest:
        url = httptools.parse_url(self._url)
        meta = self._meta
        meta["REMOTE_ADDR"] = self._peer
        meta["QUERY_STRING"] = url.query.decode("latin-1") if url.query else ""
        path = url.path or b"/"
        if b"%" in path:
            path = unquote_to_bytes(path)
        method = meta["REQUEST_METHOD"] = self._parser.get_method().decode("latin-1")
        return GatewayRequest(method, path.decode("utf-8", "replace"), meta)

    def _token_checked(self, response: HttpResponse | None) -> None:
        if self._closes:
            return
        if response is not None:
            self._reject(response)
        else:
            if "HTTP_EXPECT" in self._meta:
                self._transport.write(CONTINUE)
            self._resume()

    def on_body(self, data: bytes) -> None:
        # A body in chunks is ignored: the views require a length.
        if not self._closes and "CONTENT_LENGTH" in self._meta:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._closes:
            return
        request = self._request
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        keeps_alive = self._parser.should_keep_alive()
        self._start_request()
        if self._busy:
            self._ahead.append((request, keeps_alive))
            if len(self._ahead) >= MAX_AHEAD:
                self._pause()
        else:
            self._handle(request, keeps_alive)

    def _start_request(self) -> None:
        self._url = b""
        self._meta: dict[str, str] = {}
        self._body: list[bytes] = []
        self._request = GatewayRequest("", "", self._meta)
        self._in_request = self._in_body = False
        self._unparsed = 0

    # Answering

    def _handle(self, request: GatewayRequest, keeps_alive: bool) -> None:
        self._busy = True
        self.ends = None

        def answer(response: HttpResponse | Rendered) -> None:
            self._answer(request, keeps_alive, response)

        self._application.handle(request, answer)

    def _answer(self, request: GatewayRequest, keeps_alive: bool, response: HttpResponse | Rendered) -> None:
        self._busy = False
        if self._transport.is_closing():
            return
        keeps_alive = keeps_alive and not (self._draining and not self._ahead and not self._in_request)
        added, head = self._application.added_headers(request), request.method == "HEAD"
        self._transport.write(to_bytes(rendered(response), added, head=head, keep_alive=keeps_alive))
        if not keeps_alive:
            self._closes = True
            self._transport.close()
        elif self._ahead:
            self._resume()
            self._handle(*self._ahead.popleft())
        elif not self._in_request:
            self.ends = time.monotonic() + IDLE_SECONDS

    def _reject(self, response: HttpResponse) -> None:
        """Answers a request of which not everything was read, and closes the connection. Answers to earlier requests
        are not waited for: their caller broke the protocol or exceeded a bound."""
        if self._closes:
            return
        self._closes = True
        if self._busy:
            self._transport.close()
            return
        added = self._application.added_headers(self._request)
        self._transport.write(to_bytes(rendered(response), added, head=False, keep_alive=False))
        self._linger()

    def _linger(self) -> None:
        """Ignores what the caller still sends until it has read the response: closing a socket with unread data makes
        the kernel reset the connection, and the response can be lost (RFC 9112, section 9.6)."""
        self.ends = time.monotonic() + LINGER_SECONDS
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
