"""Responses as bytes."""

import time
from email.utils import formatdate
from http import HTTPStatus

from django.http import HttpResponse

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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


def to_bytes(response: HttpResponse, added: str, *, head: bool, keep_alive: bool) -> bytes:
    """The whole response. ``added``: header lines that every response has; ``head``: the request's method was HEAD."""
    content = response.content
    status = response.status_code
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.items()]
    lines.append(added)
    lines.append(_date.line())
    if status != HTTPStatus.NO_CONTENT and "Content-Length" not in response:
        lines.append(f"Content-Length: {len(content)}\r\n")
    lines.append("\r\n" if keep_alive else "Connection: close\r\n\r\n")
    text = "".join(lines).encode("latin-1")
    return text if head else text + content
