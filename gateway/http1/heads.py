"""Heads of requests that were accepted.

A program that calls the API sends equal heads, and only the bodies differ. A head that is equal to one that was parsed
before, byte for byte, means the same, so it is not parsed again.
"""

from typing import Any, NamedTuple

from gateway.http1.request import GatewayRequest

MAX_HEADS = 256
MAX_BYTES = 4_096
"""The size of a request, with its body, whose head is stored."""

_END = b"\r\n\r\n"
_PREVENTS = frozenset({"HTTP_CONNECTION", "HTTP_EXPECT", "HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE"})
"""Headers that concern the connection: requests with one of them are parsed."""


class _Head(NamedTuple):
    request: GatewayRequest
    length: int
    """That of the body, in bytes."""
    accepted: Any


class AcceptedHeads:
    """The latest heads, and what the application derived from each of them. Callers cannot store a head, nor displace
    one, without a token that the application accepts."""

    def __init__(self) -> None:
        self._heads: dict[bytes, _Head] = {}

    def clear(self) -> None:
        """Removes all heads."""
        self._heads.clear()

    def find(self, data: bytes, peer: str) -> GatewayRequest | None:
        """The request, if ``data`` is exactly one with a stored head. ``peer``: the address of the caller."""
        end = data.find(_END) + len(_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) != end + head.length:
            return None
        known = head.request
        request = GatewayRequest(known.method, known.path, {**known.META, "REMOTE_ADDR": peer}, data[end:])
        request.accepted = head.accepted
        return request

    def store(self, request: GatewayRequest, accepted: Any) -> None:
        """Stores the head of a request of HTTP/1.1 with a body, if it arrived in one piece."""
        data, meta = request.data, request.META
        end = data.find(_END) + len(_END)
        if data[end:] != request.body or not request.body or not _PREVENTS.isdisjoint(meta):
            return
        if len(data) > MAX_BYTES or meta["SERVER_PROTOCOL"] != "HTTP/1.1":
            return
        if len(self._heads) >= MAX_HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[data[:end]] = _Head(GatewayRequest(request.method, request.path, meta), len(request.body), accepted)
