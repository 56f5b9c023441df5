"""What one peer may use at most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Sizes are in bytes, times in seconds; times are compared every ``interval``, so an end may be that much late."""

    connections: int = 10_000
    streams: int = 100
    """Calls of one connection at the same time (SETTINGS_MAX_CONCURRENT_STREAMS)."""
    header_list: int = 16_384
    """Of one call, as RFC 9113 counts it (section 6.5.2); compressed header blocks may not be larger either."""
    message: int = 65_536
    buffered: int = 1_048_576
    """Of incomplete messages on one connection."""
    unsent: int = 4_194_304
    """Of messages on one connection that wait until the peer's windows allow them."""
    overhead: int = 1_000
    """Frames in an interval that bring no call forward: resets (CVE-2023-44487), SETTINGS, PING, empty DATA,
    CONTINUATION. Each answered call allows four more, so clients may confirm what they receive."""
    interval: float = 2.0
    preface: float = 10.0
    request: float = 10.0
    """From the headers of a unary call, or the beginning of a message or a frame, to its end."""
    unread: float = 20.0
    """How long a peer may leave data unread, in the socket or behind its windows."""
    idle: float = 300.0
    """How long a connection stays open without calls."""
    drain: float = 1.0
    """How long a connection that ends waits for the answer to its PING, and then for the peer to close it."""
