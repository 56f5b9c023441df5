"""What the service needs of the gRPC transport."""

from collections.abc import Callable, Mapping
from typing import Protocol

INVALID_ARGUMENT = 3
NOT_FOUND = 5
PERMISSION_DENIED = 7
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16
"""Status codes of gRPC."""


class Call(Protocol):
    """One call, in the event loop."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Names are in lower case."""

    @property
    def deadline_seconds(self) -> float | None:
        """What ``grpc-timeout`` said when the call arrived; None without it."""

    @property
    def peer(self) -> str:
        """The address of the connection's other end."""

    def reply(self, message: bytes, /) -> None:
        """Answers a call with one message, and ends it."""

    def fail(self, status: int, text: str, /) -> None:
        """Ends the call with a status other than OK."""


class StreamingCall(Call, Protocol):
    """A call with several answers. The handler sets the callbacks, which run in the event loop."""

    on_message: Callable[[bytes], None] | None
    on_end: Callable[[], None] | None
    on_cancel: Callable[[], None] | None

    def send(self, message: bytes, /) -> None:
        """Sends one answer."""

    def close(self, status: int, text: str, /) -> None:
        """Ends the call."""
