"""Reads the requests of one connection, with httptools' parser, and bounds their headers and bodies."""

from dataclasses import replace
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote_to_bytes

import httptools
from django.utils.encoding import repercent_broken_unicode

from api.problems import BAD_REQUEST, BODY_TOO_LARGE, LENGTH_REQUIRED, ProblemType
from gateway.http1.request import GatewayRequest, meta_name

MAX_HEADER_BYTES = 65_536
MAX_HEADERS = 100

_HEADERS_TOO_LARGE = replace(BAD_REQUEST, status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE.value)
_VERSIONS = ("1.0", "1.1")


class Receiver(Protocol):
    """What the reader reports to."""

    def body_limit(self, path: str) -> int:
        """The maximum size of a body in bytes."""

    def request_began(self) -> None:
        """The first byte of a request has arrived."""

    def head_complete(self, request: GatewayRequest, length: int) -> None:
        """The headers of a request are valid; a body of ``length`` bytes follows."""

    def request_complete(self, request: GatewayRequest, *, keeps_alive: bool) -> None:
        """The body has arrived too."""


class Refused(Exception):
    """What was sent cannot be answered by a view: the caller gets this problem, and the connection ends."""

    def __init__(self, problem: ProblemType, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


class RequestReader:
    """``in_request``: a request has begun; ``in_body``: its headers are complete; ``request``: what is known of it."""

    def __init__(self, receiver: Receiver, peer: str) -> None:
        self._receiver = receiver
        self._peer = peer
        self._parser = httptools.HttpRequestParser(self)
        self._refused: Refused | None = None
        self._skips_head = False
        self._start_request()

    def _start_request(self) -> None:
        self._url = b""
        self._meta: dict[str, str] = {}
        self._body: list[bytes] = []
        self.request = GatewayRequest("", "", self._meta)
        self.in_request = self.in_body = False
        self._headers = self._bytes = 0

    def feed(self, data: bytes) -> None:
        """Reads what has arrived, and reports to the receiver. Raises :class:`Refused`; nothing more may be fed then,
        nor after the last request of the connection."""
        self._bytes += len(data)
        try:
            while data:
                data = self._rest(data)
        except httptools.HttpParserCallbackError as error:
            raise self._refused or error from error.__context__
        except httptools.HttpParserError as error:
            raise Refused(BAD_REQUEST, "The request is not valid HTTP/1.1.") from error
        self._check_size()

    def _rest(self, data: bytes) -> bytes:
        """What the parser did not read because the headers before it offer another protocol."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return data[upgrade.args[0] :]
        return b""

    def _check_size(self) -> None:
        """Requests that have ended within the same data, and a body of announced length, do not count."""
        if not self.in_request:
            return
        if not self.in_body:
            if self._bytes > MAX_HEADER_BYTES or self._headers > MAX_HEADERS:
                raise _large_headers()
        elif "CONTENT_LENGTH" not in self._meta and self._bytes > self._receiver.body_limit(self.request.path):
            raise Refused(LENGTH_REQUIRED, "The body was sent in chunks, without a Content-Length.")

    def _ignore_upgrade(self) -> None:
        """Continues with another parser: a server may ignore the offer (RFC 9110, section 7.8). Clients of Java offer
        HTTP/2 by default. The parser has left the body to the other protocol, so the next one gets its framing."""
        self._parser = httptools.HttpRequestParser(self)
        if self.in_request:
            coding = self._meta.get("HTTP_TRANSFER_ENCODING")
            framing = f"Transfer-Encoding: {coding}" if coding else f"Content-Length: {self._meta['CONTENT_LENGTH']}"
            self._skips_head = True
            self._parser.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode("latin-1"))
            self._skips_head = False

    # Called by the parser

    def on_message_begin(self) -> None:
        if not self._skips_head:
            self.in_request = True
            self._receiver.request_began()

    def on_url(self, url: bytes) -> None:
        if not self._skips_head:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # Fields after a body in chunks have no effect: they would replace headers that a proxy has checked.
        if self.in_body:
            return
        self._headers += 1
        key = meta_name(name)
        if key is not None and self._headers <= MAX_HEADERS:
            text = value.decode("latin-1")
            before = self._meta.get(key)
            self._meta[key] = text if before is None else f"{before},{text}"

    def on_headers_complete(self) -> None:
        if self._skips_head:
            return
        if self._headers > MAX_HEADERS:
            self._refuse(_large_headers())
        self.request = self._parsed_head()
        self.in_body = True
        self._bytes = 0
        length, limit = int(self._meta.get("CONTENT_LENGTH") or 0), self._receiver.body_limit(self.request.path)
        if length > limit:
            self._refuse(Refused(BODY_TOO_LARGE, f"The body has more than {limit:,} bytes."))
        self._receiver.head_complete(self.request, length)

    def _parsed_head(self) -> GatewayRequest:
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(Refused(BAD_REQUEST, "The request is not valid HTTP/1.1."))
        method = self._parser.get_method().decode("latin-1")
        if method == "CONNECT":
            self._refuse(Refused(BAD_REQUEST, "The server is not a proxy."))
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError:
            self._refuse(Refused(BAD_REQUEST, "The address of the request is not valid."))
        meta = self._meta
        meta["REQUEST_METHOD"] = method
        meta["SERVER_PROTOCOL"] = f"HTTP/{version}"
        meta["REMOTE_ADDR"] = self._peer
        meta["QUERY_STRING"] = url.query.decode("latin-1") if url.query else ""
        return GatewayRequest(method, _decoded(url.path or b"/"), meta)

    def _refuse(self, refused: Refused) -> None:
        """Ends the parser, which replaces the exceptions of these methods by those of its own."""
        self._refused = refused
        raise refused

    def on_body(self, data: bytes) -> None:
        # A body in chunks is not kept: the views require a length.
        if "CONTENT_LENGTH" in self._meta:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._has_body():
            return
        request = self.request
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        keeps_alive = self._parser.should_keep_alive()
        self._start_request()
        self._receiver.request_complete(request, keeps_alive=keeps_alive)

    def _has_body(self) -> bool:
        return self._meta.get("CONTENT_LENGTH", "0").strip("0") != "" or "HTTP_TRANSFER_ENCODING" in self._meta


def _decoded(path: bytes) -> str:
    """The path as Django decodes it: bytes that are not UTF-8 remain percent-encoded."""
    if b"%" not in path:
        return path.decode("latin-1")
    return repercent_broken_unicode(unquote_to_bytes(path)).decode()


def _large_headers() -> Refused:
    return Refused(
        _HEADERS_TOO_LARGE, f"A request may have {MAX_HEADERS} headers, and {MAX_HEADER_BYTES:,} bytes of them."
    )
