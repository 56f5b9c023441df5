"""Where others can watch the data plane. Nobody does, unless they say so with :func:`install`.

The calls are made on every check, so an observer has to be quick, and must not raise.
"""

from collections.abc import Sequence

from limits.domain.decision import Decision


class Observer:
    """Told of everything, does nothing. Durations are in seconds."""

    def decided(self, decisions: Sequence[Decision], seconds: float) -> None:
        """One call of the engine decided and counted these requests."""

    def store_called(self, seconds: float) -> None:
        """The store answered, or did not."""

    def store_failed(self, error: Exception) -> None:
        """A call found the store away; :meth:`store_called` is told too."""

    def data_damaged(self, kind: str, entries: int) -> None:
        """So many entries in the store are not what the platform writes."""

    def breaker_changed(self, is_open: bool) -> None:
        """From now on nobody waits for the store, or it is back."""

    def ruleset_held(self, sequence: int) -> None:
        """This process decides by this version from now on."""


observer = Observer()


def install(new: Observer) -> None:
    """Lets ``new`` watch this process, in place of whoever did before."""
    global observer
    observer = new
