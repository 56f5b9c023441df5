"""Lua scripts: each is a file in this folder, called by its digest. Parts shared by several scripts are
in ``parts``."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline

_FOLDER = Path(__file__).parent
CONSUME, TREE, RESERVE, GRANTS = "consume", "tree", "reserve", "grants"
"""Variants of ``decide.lua``: for one part of a request, whose cost stays pending until the request is committed; for
clients that may have ancestors; for requests whose cost may be settled later; and, in addition to another one, for
clients with grants. Lines that begin with ``-- consume:``, ``-- tree:``, ``-- reserve:`` and ``-- grants:`` are
replaced by parts in these variants only, because a text that is not executed costs time too; ``-- marked:`` and
``-- tree:`` in the first and the third."""

_MARKED = {CONSUME, RESERVE}
_LINE = re.compile(r"^ *-- (\w+): (\w+)$", re.MULTILINE)
"""A line that is replaced by a file of the folder ``parts``, because Redis has no modules: ``-- include: clock``."""


class Script:
    """One Lua script."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def run(
        self,
        connections: StoreConnections,
        keys: Sequence[str],
        arguments: Sequence[str | int | bytes],
        deadline: Deadline,
    ) -> Any:
        """Runs the script once, on the server of the first key. A server without the script (after a restart
        or ``SCRIPT FLUSH``) has not run it; only then is the source sent."""
        tail = (len(keys), *keys, *arguments)
        try:
            return connections.execute("EVALSHA", self.digest, *tail, key=keys[0], deadline=deadline)
        except NoScriptError:
            return connections.execute("EVAL", self.source, *tail, key=keys[0], deadline=deadline)


@cache
def load(name: str, *variants: str, **replaced: str) -> Script:
    """The script with this file name, without extension, in these variants. ``replaced``: another text for some of
    its parts, as for :func:`assembled`."""
    return Script(assembled(_read(name), *variants, **replaced))


def assembled(text: str, *variants: str, **replaced: str) -> str:
    """A script with its parts inserted, and those of these variants. ``replaced``: the texts to insert in place of the
    parts with these names, such as a ``clock`` set by a test. Raises ``ValueError`` if the script has no part of that
    name."""
    kinds = {"include", *variants} | ({"marked", TREE} if _MARKED & set(variants) else set())
    missing = set(replaced)

    def part(line: re.Match[str]) -> str:
        kind, name = line.groups()
        if kind not in kinds:
            return line[0]
        missing.discard(name)
        return _LINE.sub(part, replaced.get(name) or _read(f"parts/{name}").rstrip())

    text = _LINE.sub(part, text)
    if missing:
        raise ValueError(f"The script does not include the part {', '.join(sorted(missing))}.")
    return text


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
