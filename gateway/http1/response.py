"""Responses as bytes."""

import time
from email.utils import formatdate
from http import HTTPStatus

from django.http import HttpResponse

from api.rendering import Rendered

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_NO_CONTENT = HTTPStatus.NO_CONTENT.value
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = "Connection: close\r\n"
KEEP_ALIVE = "Connection: keep-alive\r\n"
"""For callers that speak HTTP/1.0, where it is not the default (RFC 9112, appendix C.2.2)."""


class DateHeader:
    """The header ``Date`` (RFC 9110, section 6.6.1), formatted once a second."""

    def __init__(self) -> None:
        self._second, self._line = 0, ""

    def line(self) -> str:
        """The header line of this second."""
        now = int(time.time())
        if now != self._second:
            self._second, self._line = now, f"Date: {formatdate(now, usegmt=True)}\r\n"
        return self._line


_date = DateHeader()


def rendered(response: HttpResponse | Rendered) -> Rendered:
    """A response of Django as one of the gateway."""
    if isinstance(response, Rendered):
        return response
    headers = dict(response.items())
    return Rendered(response.status_code, headers, headers.pop("Content-Type", ""), response.content)


def to_bytes(response: Rendered, added: str, *, head: bool, connection: str) -> bytes:
    """The whole response. ``added``: header lines that every response has; ``head``: the request's method was HEAD;
    ``connection``: one of the header lines ``KEEP_ALIVE`` and ``CLOSE``, or none."""
    status, headers, content_type, content = response
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if content_type:
        lines += f"Content-Type: {content_type}\r\n"
    length = "" if status == _NO_CONTENT else f"Content-Length: {len(content)}\r\n"
    text = f"{_STATUS_LINES[status]}{lines}{added}{_date.line()}{length}{connection}\r\n".encode("latin-1")
    return text if head else text + content
