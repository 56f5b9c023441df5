"""Lua scripts: each is a file beside this module, called by its digest. Parts that several share are
written once, in ``lua/parts``."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from limits.store.connection import HotConnections
from limits.store.deadline import Deadline

_FOLDER = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^ *-- include: (\w+)$", re.MULTILINE)
"""A line that stands for a file of the folder ``parts``: Redis knows no modules."""

_CONSUME = re.compile(r"^ *-- consume: (\w+)$", re.MULTILINE)
"""The same in ``decide.lua``, where one part of a request is consumed; otherwise it stands for nothing."""


class Script:
    """One Lua script."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def run(
        self,
        connections: HotConnections,
        keys: Sequence[str],
        arguments: Sequence[str | int | bytes],
        deadline: Deadline,
    ) -> Any:
        """Runs it once, where the first key lies. A server that forgot the script (restart,
        ``SCRIPT FLUSH``) has not run it, so then, and only then, the source follows."""
        tail = (len(keys), *keys, *arguments)
        try:
            return connections.execute("EVALSHA", self.digest, *tail, key=keys[0], deadline=deadline)
        except NoScriptError:
            return connections.execute("EVAL", self.source, *tail, key=keys[0], deadline=deadline)


@cache
def load(name: str) -> Script:
    """The script of this file name, without its ending."""
    return Script(assembled(_read(name)))


@cache
def load_consuming() -> Script:
    """``decide.lua`` for one part of a request, which is consumed until the request is committed."""
    return Script(assembled(_CONSUME.sub(_part, _read("decide"))))


def assembled(text: str) -> str:
    """A script with its parts in it."""
    return _INCLUDE.sub(_part, text)


def _part(include: "re.Match[str]") -> str:
    return _read(f"parts/{include[1]}").rstrip()


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
