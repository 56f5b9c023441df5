"""Requests to a proxy, byte for byte as a caller chooses."""

import json
import socket
from http.client import HTTPResponse
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """Names of headers are in lowercase."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def send(port: int, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
    """The answer to a request with this target and these headers, which are sent as they are."""
    lines = [f"{method} {target} HTTP/1.1", "Host: shop.example", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, answer.read())
