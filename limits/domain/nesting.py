"""The nesting depth of plain data.

Python's own limit depends on the version and on the thread's stack: 1,000 levels of JSON in 3.11, some tens
of thousands in 3.14, where other functions that traverse the value may then fail.
"""

from typing import Any

MAX_LEVELS = 100
TOO_DEEP = "is nested too deeply."


def is_nested_too_deeply(value: Any) -> bool:
    """Whether lists and dicts are nested more than :data:`MAX_LEVELS` deep."""
    level = [value]
    for _ in range(MAX_LEVELS + 1):
        level = [inner for outer in level if isinstance(outer, (list, dict)) for inner in _members(outer)]
        if not level:
            return False
    return True


def _members(outer: list[Any] | dict[str, Any]) -> Any:
    return outer.values() if isinstance(outer, dict) else outer
