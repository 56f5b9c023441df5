"""What a process owns, and a forked child must not share with its parent.

A lock that another thread holds at the moment of a fork stays locked in the child for ever; a thread is
not there; a socket, a pool or a random id would belong to two processes. So every object that holds
one of these makes them in ``renew``, and registers itself here. gunicorn with ``--preload``, Celery's
prefork pool and ``multiprocessing`` fork.
"""

import os
import weakref
from typing import Protocol


class Owner(Protocol):
    """An object that holds a lock, thread, socket, pool, queue or random id."""

    def renew(self) -> None:
        """Makes them: at the beginning, and again in a forked child."""


_owners: "weakref.WeakSet[Owner]" = weakref.WeakSet()


def renewed_when_forked(owner: Owner) -> None:
    """Calls ``owner.renew()`` now, and in every forked child for as long as ``owner`` exists."""
    owner.renew()
    _owners.add(owner)


def _renew_all() -> None:
    for owner in list(_owners):
        owner.renew()


os.register_at_fork(after_in_child=_renew_all)
