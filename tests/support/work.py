"""The work of a call in steps instead of seconds: executed Python code, and data read by built-in functions."""

import builtins
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

MOST = 2.5

Call = Callable[[], object]
Case = Callable[[int], Call]
"""Size of the input → a call that processes such an input."""

_READ_ALL = {
    str: frozenset(
        {"count", "find", "index", "lower", "partition", "replace", "rfind", "rpartition", "split", "upper"}
    ),
    bytes: frozenset({"count", "decode", "find", "replace", "split"}),
    list: frozenset({"copy", "count", "index", "insert", "remove", "reverse", "sort"}),
    tuple: frozenset({"count", "index"}),
    dict: frozenset({"copy"}),
    set: frozenset({"copy"}),
}
"""Methods that may read their whole object; each call counts as many steps as the object's length."""


class Word(str):
    """A string with comparison and hash in Python code, so that they are counted, also in ``in`` and ``dict``."""

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return str.__ne__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


class Number(int):
    """A number whose comparisons and hashes run in Python code."""

    def __eq__(self, other: object) -> bool:
        return int.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return int.__ne__(self, other)

    def __hash__(self) -> int:
        return int.__hash__(self)


def counted_range(*bounds: int) -> Iterator[int]:
    """``range`` with numbers whose comparisons are counted."""
    return map(Number, builtins.range(*bounds))


def counted_enumerate(items: Any, start: int = 0) -> Iterator[tuple[int, Any]]:
    """``enumerate`` with numbers whose comparisons are counted."""
    return ((Number(at), item) for at, item in builtins.enumerate(items, start))


def work_of(call: Callable[[], object]) -> int:
    """The number of lines and calls that ``call`` executes, plus the lengths that built-in methods read."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += 1
        return trace

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        if event == "c_call":
            steps += 1 + _read_by(argument)

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
    return steps


def _read_by(builtin: Any) -> int:
    owner = builtin.__self__
    for kind, names in _READ_ALL.items():
        if isinstance(owner, kind) and builtin.__name__ in names:
            return len(owner)
    return 0


def growth(case: Case, size: int) -> float:
    """The ratio of the work for twice the size to the work for the size. The first calls fill caches."""
    case(size)()
    case(2 * size)()
    return work_of(case(2 * size)) / work_of(case(size))


def words(prefix: str, number: int) -> list[Word]:
    return [Word(f"{prefix}-{at}") for at in range(number)]
