"""Ten thousand connections that send nothing, or little and slowly, or are reset."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.doors.processes import Gateway
from ratelimit_platform.startup import raise_file_limit

CONNECTIONS = 10_000
GROUP = 10
"""The size of a group in which one connection sends a body slowly, one has sent a part of a header or frame, and one is
reset."""
PAUSE_SECONDS = 0.5

_BODY = b"POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
_HEADER = b"POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nX-"
_FRAME = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\x20\x01\x04\0\0"
"""The preface, SETTINGS, and a part of a frame HEADERS (RFC 9113, sections 3.4 and 4.1)."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing the socket resets the connection."""


@contextmanager
def hostile_connections(gateway: Gateway) -> Iterator[None]:
    """Half of them to HTTP, half to gRPC; the slow ones send a byte every half second."""
    raise_file_limit()
    stop = threading.Event()
    with ExitStack() as stack:
        slow = [_open(stack, gateway, number) for number in range(CONNECTIONS)]
        sender = threading.Thread(target=_send_slowly, args=([each for each in slow if each], stop))
        sender.start()
        try:
            yield
        finally:
            stop.set()
            sender.join()


def _open(stack: ExitStack, gateway: Gateway, number: int) -> socket.socket | None:
    """Opens one connection. Returns it if it sends slowly."""
    is_http = number % 2 == 0
    connection = stack.enter_context(
        socket.create_connection(("127.0.0.1", gateway.http_port if is_http else gateway.grpc_port))
    )
    kind = number // 2 % GROUP
    if kind == 0:
        connection.sendall(_BODY if is_http else _FRAME)
        return connection
    if kind == 1:
        connection.sendall(_HEADER if is_http else _FRAME[:-3])
    elif kind == 2:
        connection.sendall(_BODY if is_http else _FRAME)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()
    return None


def _send_slowly(connections: list[socket.socket], stop: threading.Event) -> None:
    while not stop.wait(PAUSE_SECONDS):
        for connection in connections:
            try:
                connection.sendall(b" ")
            except OSError:
                # The server has ended it.
                continue
