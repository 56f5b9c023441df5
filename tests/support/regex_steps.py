"""The number of steps of a regular expression on a text, independent of the machine and its load.

The standard library's engine is written in C and counts no steps. This is a backtracking matcher for the tree
that ``re`` parses, which tries the same alternatives in the same order; a step is one compared character or one
tried alternative.
"""

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import product
from typing import Any

Continue = Callable[[int], int | None]
"""The continuation of a match: takes a position, returns the end of the match, or None."""

_ONE = {op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN}
_CATEGORIES = {
    op.CATEGORY_DIGIT: str.isdigit,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
    op.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
}


BUDGET = 500_000


class OverBudget(Exception):
    """A match of a short text takes an unacceptable number of steps."""


class Steps:
    """Matches one pattern and counts the steps."""

    def __init__(self, pattern: "re.Pattern[str]") -> None:
        self.tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
        self._known: dict[tuple[int, str], bool] = {}
        self.ignore_case = bool(pattern.flags & re.IGNORECASE)
        self.count = 0
        self.end: int | None = None

    def fullmatch(self, text: str) -> int:
        """The number of steps of ``pattern.fullmatch(text)``."""
        self.text, self.count = text, 0
        self.end = self._items(list(self.tree), 0, 0, lambda at: at if at == len(text) else None)
        return self.count

    def searches(self, text: str) -> int:
        """The number of steps of ``pattern.sub`` on the text: of all its searches from left to right."""
        self.text, self.count, at = text, 0, 0
        while at <= len(text):
            end = self._items(list(self.tree), 0, at, lambda at: at)
            at = max(at + 1, at if end is None else end)
        return self.count

    def _items(self, items: list[Any], index: int, at: int, then: Continue) -> int | None:
        self.count += 1
        if self.count > BUDGET:
            raise OverBudget
        if index == len(items):
            return then(at)
        return self._item(items[index], at, lambda end: self._items(items, index + 1, end, then))

    def _item(self, item: Any, at: int, then: Continue) -> int | None:
        code, value = item
        if code in _ONE:
            return then(at + 1) if self._is(item, at) else None
        method: Any = getattr(self, f"_{str(code).lower()}")
        end: int | None = method(value, at, then)
        return end

    def _branch(self, value: Any, at: int, then: Continue) -> int | None:
        return self._first(self._items(list(branch), 0, at, then) for branch in value[1])

    def _subpattern(self, value: Any, at: int, then: Continue) -> int | None:
        return self._items(list(value[3]), 0, at, then)

    def _max_repeat(self, value: Any, at: int, then: Continue) -> int | None:
        least, most, body = value
        if len(body) == 1 and body[0][0] in _ONE:
            return self._run(least, most, body[0], at, then)
        return self._again(least, most, list(body), at, then)

    def _run(self, least: int, most: int, item: Any, at: int, then: Continue) -> int | None:
        """A repeated single character: first as many as match, then fewer."""
        end = at
        while end - at < most and self._is(item, end):
            end += 1
        return self._first(then(stop) for stop in range(end, at + least - 1, -1))

    def _again(self, least: int, most: int, body: list[Any], at: int, then: Continue) -> int | None:
        if (
            most
            and (end := self._items(body, 0, at, lambda to: self._after(least, most, body, at, to, then))) is not None
        ):
            return end
        return then(at) if least <= 0 else None

    def _after(self, least: int, most: int, body: list[Any], at: int, to: int, then: Continue) -> int | None:
        return None if to == at else self._again(least - 1, most - 1, body, to, then)

    def _at(self, value: Any, at: int, then: Continue) -> int | None:
        self.count += 1
        return then(at) if self._holds(value, at) else None

    def _holds(self, value: Any, at: int) -> bool:
        if value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING, op.AT_BEGINNING_LINE):
            return at == 0 or (value == op.AT_BEGINNING_LINE and self.text[at - 1] == "\n")
        if value == op.AT_BOUNDARY:
            return self._is_word(at - 1) != self._is_word(at)
        return at == len(self.text)

    def _assert(self, value: Any, at: int, then: Continue) -> int | None:
        return then(at) if self._looks(value, at) else None

    def _assert_not(self, value: Any, at: int, then: Continue) -> int | None:
        return None if self._looks(value, at) else then(at)

    def _looks(self, value: Any, at: int) -> bool:
        direction, body = value
        here = at - len(body) if direction < 0 else at
        return here >= 0 and self._items(list(body), 0, here, lambda end: end) is not None

    def _first(self, ends: Iterator[int | None]) -> int | None:
        for end in ends:
            self.count += 1
            if end is not None:
                return end
        return None

    def _is_word(self, at: int) -> bool:
        return 0 <= at < len(self.text) and bool(re.match(r"\w", self.text[at]))

    def _is(self, item: Any, at: int) -> bool:
        self.count += 1
        if at >= len(self.text):
            return False
        known = (id(item), self.text[at])
        if known not in self._known:
            self._known[known] = self._compare(item, self.text[at])
        return self._known[known]

    def _compare(self, item: Any, char: str) -> bool:
        chars = {char, char.swapcase()} if self.ignore_case else {char}
        return any(_fits(item, char) for char in chars)


def _fits(item: Any, char: str) -> bool:
    code, value = item
    if code == op.LITERAL:
        return bool(ord(char) == value)
    if code == op.NOT_LITERAL:
        return bool(ord(char) != value)
    if code == op.ANY:
        return char != "\n"
    negated = value[0][0] == op.NEGATE
    return negated != any(_in(part, char) for part in value[negated:])


def _in(part: Any, char: str) -> bool:
    code, value = part
    if code == op.RANGE:
        return bool(value[0] <= ord(char) <= value[1])
    return _CATEGORIES[value](char) if code == op.CATEGORY else bool(ord(char) == value)


class Attacks:
    """Texts that may be slow for a pattern: a possible beginning, then a repeated short word of its characters,
    then an impossible end."""

    def __init__(self, pattern: "re.Pattern[str]") -> None:
        self.tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)

    @cached_property
    def words(self) -> list[str]:
        alphabet = sorted(dict.fromkeys(self._characters(self.tree)))[:6]
        runs = sorted(set(self._runs(self.tree)))[:3]
        return [*alphabet, *map("".join, product(alphabet, repeat=2)), *runs, *map("".join, product(runs, alphabet))]

    def texts(self, times: int) -> Iterator[str]:
        """The texts, each with ``times`` repetitions of its word."""
        samples = list(map(_sample, self.tree))
        beginnings = dict.fromkeys("".join(samples[:length]) for length in range(min(len(samples), 6)))
        for beginning, word, end in product(beginnings, self.words, ("", "\x01")):
            yield beginning + word * times + end

    def _characters(self, tree: Any) -> Iterator[str]:
        for code, value in _nodes(tree):
            if code == op.LITERAL:
                yield chr(value)
            elif code == op.IN:
                yield from _samples(value)

    def _runs(self, tree: Any) -> Iterator[str]:
        """Literal words in the pattern, such as “bearer” or “://”."""
        spelled = ""
        for code, value in [*_nodes(tree), (None, None)]:
            if code == op.LITERAL:
                spelled += chr(value)
            elif spelled:
                yield spelled
                spelled = ""


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    for code, value in tree:
        yield code, value
        for inner in value if isinstance(value, (list, tuple)) else ():
            if isinstance(inner, parser.SubPattern):
                yield from _nodes(inner)
            elif isinstance(inner, list) and inner and isinstance(inner[0], parser.SubPattern):
                for branch in inner:
                    yield from _nodes(branch)


def _sample(item: Any) -> str:
    """A short text that this part of a pattern matches."""
    code, value = item
    if code == op.LITERAL:
        return chr(value)
    if code == op.IN:
        return next(_samples(value))
    if code == op.MAX_REPEAT:
        return "".join(map(_sample, value[2])) * max(1, value[0])
    if code == op.SUBPATTERN:
        return "".join(map(_sample, value[3]))
    return "".join(map(_sample, value[1][0])) if code == op.BRANCH else ""


def _samples(parts: Any) -> Iterator[str]:
    if parts[0][0] == op.NEGATE:
        yield "x"
        parts = parts[1:]
    for code, value in parts:
        if code == op.RANGE:
            yield chr(value[0])
        elif code == op.LITERAL:
            yield chr(value)
        elif value in (op.CATEGORY_WORD, op.CATEGORY_NOT_SPACE):
            yield "a"
        else:
            yield {op.CATEGORY_DIGIT: "0", op.CATEGORY_SPACE: " "}[value]
