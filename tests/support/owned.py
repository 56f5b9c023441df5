"""The objects of this process that a forked child must not share with its parent."""

import functools
import gc
import random
import select
import socket
import sys
import threading
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from redis import ConnectionPool, Redis, RedisCluster

OURS = ("ratelimit_enforcer", "limits", "api", "ratelimit_platform", "demo")
PRIMITIVES = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Condition,
    threading.Event,
    threading.Thread,
    socket.socket,
    random.Random,
    type(select.poll()),
)
_CONTAINERS = (
    *(dict, list, tuple, set, frozenset, deque, types.CellType, types.MethodType, types.MappingProxyType),
    *(functools.partial, functools._lru_cache_wrapper, property, functools.cached_property),
)


def owned(*roots: object) -> list[Any]:
    """The locks, threads, sockets and random generators that are reachable from our modules and ``roots``
    through containers and our functions, classes and objects."""
    return [found for found, _ in _found(*roots)]


def shared(before: list[Any], *roots: object) -> list[str]:
    """The paths to those objects found ``before`` a fork that are still reachable."""
    ids = {id(each) for each in before}
    return [way for found, way in _found(*roots) if id(found) in ids]


def _found(*roots: object) -> Iterator[tuple[Any, str]]:
    seen: dict[int, object] = {}
    waiting = [(each, "") for each in (*roots, *_modules())]
    while waiting:
        each, way = waiting.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        way = f"{way} > {getattr(each, '__qualname__', type(each).__qualname__)}"
        if isinstance(each, PRIMITIVES):
            yield each, way
        elif _is_followed(each):
            waiting += [(referent, way) for referent in gc.get_referents(each)]


def _modules() -> Iterator[object]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OURS:
            yield vars(module)


def _is_followed(each: object) -> bool:
    if isinstance(each, types.ModuleType | Redis | RedisCluster | ConnectionPool):
        # redis-py's clients and pools detect a fork by the process id.
        return False
    if isinstance(each, types.FunctionType | type):
        return each.__module__.partition(".")[0] in OURS
    return isinstance(each, _CONTAINERS) or type(each).__module__.partition(".")[0] in (*OURS, "redis")
