"""Objects that exist once per process, and that a forked child must not share with its parent.

Settings, engines and pools exist once per process. ``functools.lru_cache`` does not guarantee that: if two
threads make their first call at the same time, both run the function and use two engines or two pools.

A lock that another thread holds during a fork stays locked in the child forever. The thread does not exist
there, and a socket, a pool or a random id would belong to two processes. So every object that owns one of
these creates it in ``renew``, and registers itself here. gunicorn with ``--preload``, Celery's prefork pool
and ``multiprocessing`` fork. :class:`cached_property` has no lock for the same reason.
"""

import os
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload


class Owner(Protocol):
    """An object that owns a lock, thread, socket, pool, queue or random id."""

    def renew(self) -> None:
        """Creates these objects: in ``__init__``, and again in a forked child."""


_owners: "weakref.WeakSet[Owner]" = weakref.WeakSet()


def renew_after_fork(owner: Owner) -> None:
    """Calls ``owner.renew()`` now, and in every forked child for as long as ``owner`` exists."""
    owner.renew()
    _owners.add(owner)


def _renew_all() -> None:
    for owner in list(_owners):
        owner.renew()


os.register_at_fork(after_in_child=_renew_all)


Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

SIZE = 8
"""The number of results cached for different arguments; beyond that, the oldest is dropped."""


def once(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """A decorator for a function that runs once for the same (positional, hashable) arguments. Concurrent
    callers wait for the result. Later calls cost as much as with ``lru_cache``."""
    return cast("Callable[Arguments, Value]", lru_cache(maxsize=SIZE)(_FirstCalls(function).value))


def reset_once(function: Callable[..., Any]) -> None:
    """Lets a function decorated with :func:`once` run again."""
    cached: Any = function
    cached.__wrapped__.__self__.clear()
    cached.cache_clear()


class _FirstCalls(Generic[Value]):
    """Runs a function under a lock, and caches the results."""

    def __init__(self, function: Callable[..., Value]) -> None:
        self._function = function
        self._values: dict[tuple[Any, ...], Value] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        # Reentrant: the function may call itself with other arguments.
        self._lock = threading.RLock()

    def value(self, *arguments: Any) -> Value:
        with self._lock:
            if arguments not in self._values:
                self._values[arguments] = self._function(*arguments)
                while len(self._values) > SIZE:
                    del self._values[next(iter(self._values))]
            return self._values[arguments]

    def clear(self) -> None:
        with self._lock:
            self._values.clear()


class cached_property(Generic[Value]):  # noqa: N801
    """``functools.cached_property`` as implemented since Python 3.12. Up to 3.11 it has one lock for all
    instances. A forked child inherits that lock locked if another thread was computing a value."""

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "cached_property[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> "cached_property[Value] | Value":
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._function(instance)
        return value
