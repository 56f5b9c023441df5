"""Addresses of host names.

The system's lookup has no time limit. So it runs in a thread, one for each name at a time, and whoever
waits for it goes on with the addresses found before where it takes too long or fails.
"""

import socket
import threading
from typing import Any

from limits.forking import renewed_when_forked

Place = tuple[str, int, int]
"""Host, port and family."""

Found = list[tuple[Any, ...]]
"""As ``socket.getaddrinfo`` answers."""


WHERE_KNOWN = 0.25
"""Seconds that a lookup may take where an address is known already."""


class Names:
    """Looks up host names. Safe for threads."""

    def __init__(self) -> None:
        self._known: dict[Place, Found] = {}
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._lookups: dict[Place, _Lookup] = {}

    def addresses(self, host: str, port: int, family: int, seconds: float) -> Found:
        """The addresses of a host, at the latest after so many seconds. Raises ``OSError`` where it has
        none, and ``TimeoutError`` where none was ever found in time."""
        place = host, port, family
        if (numeric := _numeric(place)) is not None:
            return numeric
        lookup, known = self._lookup(place), self._known.get(place)
        if lookup.ended.wait(seconds if known is None else min(seconds, WHERE_KNOWN)) and lookup.error is None:
            return lookup.found
        if known is not None:
            return known
        raise lookup.error or TimeoutError(f"The name {host} was not found within {seconds:.2g} s.")

    def _lookup(self, place: Place) -> "_Lookup":
        with self._lock:
            lookup = self._lookups.get(place)
            if lookup is None:
                lookup = self._lookups[place] = _Lookup()
                threading.Thread(target=self._look_up, args=(place, lookup), name="store-name", daemon=True).start()
        return lookup

    def _look_up(self, place: Place, lookup: "_Lookup") -> None:
        host, port, family = place
        try:
            lookup.found = self._known[place] = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except OSError as error:
            lookup.error = error
        finally:
            with self._lock:
                self._lookups.pop(place, None)
            lookup.ended.set()


class _Lookup:
    """One lookup, which several may wait for."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.found: Found = []
        self.error: OSError | None = None


def _numeric(place: Place) -> Found | None:
    """What needs no lookup; None for a name."""
    host, port, family = place
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None


names = Names()
"""Those of this process."""
