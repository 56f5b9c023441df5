"""The interface for monitoring the data plane; no observer is installed by default (:func:`install`).

The calls are made on every check, so an observer has to be fast, and must not raise.
"""

from collections.abc import Sequence

from ratelimit_enforcer.domain.decision import Decision


class Observer:
    """The default observer, which ignores all events. Durations are in seconds."""

    def decided(self, decisions: Sequence[Decision], seconds: float) -> None:
        """One call of the engine decided and counted these requests, in ``seconds``."""

    def store_called(self, seconds: float) -> None:
        """A call to the store took ``seconds``, whether it succeeded or not."""

    def store_failed(self, error: Exception) -> None:
        """A call found the store unavailable; :meth:`store_called` is called as well."""

    def data_damaged(self, kind: str, entries: int) -> None:
        """``entries`` damaged entries of this kind were found in the store."""

    def breaker_changed(self, is_open: bool) -> None:
        """Open: from now on, no check waits for the store. Closed: the store is available again."""

    def ruleset_loaded(self, sequence: int) -> None:
        """This process uses this version of the ruleset from now on."""


class Observers(Observer):
    """Several observers, called in order."""

    def __init__(self, *all_of_them: Observer) -> None:
        self._all = all_of_them

    def decided(self, decisions: Sequence[Decision], seconds: float) -> None:
        for each in self._all:
            each.decided(decisions, seconds)

    def store_called(self, seconds: float) -> None:
        for each in self._all:
            each.store_called(seconds)

    def store_failed(self, error: Exception) -> None:
        for each in self._all:
            each.store_failed(error)

    def data_damaged(self, kind: str, entries: int) -> None:
        for each in self._all:
            each.data_damaged(kind, entries)

    def breaker_changed(self, is_open: bool) -> None:
        for each in self._all:
            each.breaker_changed(is_open)

    def ruleset_loaded(self, sequence: int) -> None:
        for each in self._all:
            each.ruleset_loaded(sequence)


observer = Observer()


def install(new: Observer) -> None:
    """Makes ``new`` the observer of this process, in place of the previous one."""
    global observer
    observer = new


def add(new: Observer) -> None:
    """Makes ``new`` an observer of this process, beside the previous one."""
    install(new if type(observer) is Observer else Observers(observer, new))
