"""A slow server: it answers every command of the Redis protocol with OK after a delay."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hiredis import Reader


class SlowServer:
    """``delay``: seconds before each reply. ``answered``: number of replies; ``connections``: number of connections."""

    def __init__(self, delay: float, context: ssl.SSLContext | None = None) -> None:
        self.answered = self.connections = 0
        self._delay = delay
        self._context = context
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def end_delay(self) -> None:
        """Answers all commands immediately from now on, including those that wait."""
        self._ending.set()

    def stop(self) -> None:
        self.end_delay()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with (
            suppress(OSError),
            self._context.wrap_socket(plain, server_side=True) if self._context else plain as connection,
        ):
            reader = Reader()
            while data := connection.recv(65_536):
                reader.feed(data)
                while reader.gets():
                    self._ending.wait(self._delay)
                    self.answered += 1
                    connection.sendall(b"+OK\r\n")


@contextmanager
def slow_server(delay: float, context: ssl.SSLContext | None = None) -> Iterator[SlowServer]:
    server = SlowServer(delay, context)
    try:
        yield server
    finally:
        server.stop()
