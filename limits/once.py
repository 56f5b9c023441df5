"""What exists once in a process: settings, engines, pools.

``functools.lru_cache`` does not promise that: two threads whose first calls come at the same time both
run the function, and go on with two engines or two pools.
"""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, ParamSpec, TypeVar, cast

from limits.forking import renewed_when_forked

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")

SIZE = 8
"""Values that are kept for different arguments; with more, the oldest is made again."""


def once(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """A decorator for a function that runs once for the same (positional, hashable) arguments: callers
    that come meanwhile wait for its value. Later calls cost what they cost with ``lru_cache``."""
    return cast("Callable[Arguments, Value]", lru_cache(maxsize=SIZE)(_FirstCalls(function).value))


def forget(function: Callable[..., Any]) -> None:
    """Lets a function decorated with :func:`once` run again."""
    cached: Any = function
    cached.__wrapped__.__self__.clear()
    cached.cache_clear()


class _FirstCalls(Generic[Value]):
    """Runs a function under a lock, and keeps its values."""

    def __init__(self, function: Callable[..., Value]) -> None:
        self._function = function
        self._values: dict[tuple[Any, ...], Value] = {}
        renewed_when_forked(self)

    def renew(self) -> None:
        # Reentrant: what a function makes may ask for the same function's value of other arguments.
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
