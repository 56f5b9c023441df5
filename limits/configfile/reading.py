"""Text → plain data, strictly. YAML includes JSON, so one reader is enough for both.

Read is a strict subset of YAML: dates stay text, numbers are decimal, and duplicate keys and tags beyond JSON's
types are errors. Values that YAML 1.1 does not read as they look, and values that are not numbers, are rejected at
their position, with an explanation: 0100 would be 64, and 1:00 would be 60.

Aliases and merge keys are allowed for limits shared by several policies: the expanded size is counted before
anything is built, since a file of 300 bytes can refer to billions of values.
"""

import json
import math
import re
from collections.abc import Callable, Hashable
from typing import Any, NoReturn

import yaml
from yaml.reader import ReaderError

from limits.domain.nesting import TOO_DEEP, is_nested_too_deeply
from ratelimit_enforcer.domain.validation import Location, ValidationProblem

MAX_DIGITS = 30
"""Maximum number of digits of a whole number; every bound of the platform has fewer."""

_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[-+]?0[bB][0-9_]*"), "a binary number"),
    (re.compile(r"[-+]?0[xX][0-9a-fA-F_]*"), "a hexadecimal number"),
    (re.compile(r"[-+]?0[0-9_]+|[-+]?0[oO][0-9_]*"), "an octal number"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?"), "a base-60 number"),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|-?Infinity|NaN"), "not a finite number"),
)


class RejectedScalar(str):
    """The text of a value that is rejected in any position. ``reading``: how YAML would read it."""

    reading: str

    def __new__(cls, text: str, reading: str) -> "RejectedScalar":
        value = super().__new__(cls, text)
        value.reading = reading
        return value

    @property
    def explanation(self) -> str:
        """The reason for the rejection."""
        shown = self if len(self) <= MAX_DIGITS else f"{self[:MAX_DIGITS]}…"
        return f"“{shown}” is {self.reading}: write a number in plain decimal digits, or put a text in quotes."


def parse_integer(text: str) -> int | RejectedScalar:
    """Returns the whole number for unquoted text. Raises ``ValueError`` if it is not one."""
    return _decimal(text, int) if _WHOLE.fullmatch(text) else _rejected(text)


def parse_number(text: str) -> float | RejectedScalar:
    """Returns the number with a fraction or an exponent. Raises ``ValueError`` if it is not one."""
    value = (
        _rejected(text) if any(pattern.fullmatch(text) for pattern, _ in _SPELLINGS) else float(text.replace("_", ""))
    )
    return (
        value
        if isinstance(value, RejectedScalar) or math.isfinite(value)
        else RejectedScalar(text, "too large a number")
    )


def _decimal(text: str, make: Callable[[str], int]) -> int | RejectedScalar:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.startswith("0"):
        return _rejected(text)
    return make(text.replace("_", "")) if len(digits) <= MAX_DIGITS else RejectedScalar(text, "too large a number")


def _rejected(text: str) -> RejectedScalar:
    for pattern, reading in _SPELLINGS:
        if pattern.fullmatch(text):
            return RejectedScalar(text, reading)
    raise ValueError(text)


MAX_ALIASED = 100_000
"""Maximum number of values that all aliases of a file may expand to."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_IGNORED_TAGS = (f"{_TAG}timestamp", f"{_TAG}value")


class Loader(yaml.SafeLoader):
    """Raises ``yaml.MarkedYAMLError`` with the position of the rejected element."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._sizes: dict[int, int] = {}
        self._aliased = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if isinstance(event, yaml.AliasEvent):
            self._count_alias(node, event)
        else:
            self._sizes[id(node)] = 1 + sum(self._sizes[id(inner)] for inner in _child_nodes(node))
        return node

    def _count_alias(self, node: yaml.Node, event: yaml.AliasEvent) -> None:
        size = self._sizes.get(id(node))
        if size is None:
            _reject(f"the alias *{event.anchor} refers to a value that contains it", event.start_mark)
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            message = f"the aliases up to here expand to more than {MAX_ALIASED:,} values; write these out"
            _reject(message, event.start_mark)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            _require_text(key)
            if key.value in seen:
                _reject(f"the key “{key.value}” is a duplicate", key.start_mark)
            seen.add(key.value)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            _reject("map must be a mapping", node.start_mark)
        self.flatten_mapping(node)
        # Merged pairs come first, so that the mapping's own values replace them.
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def construct_whole_number(self, node: yaml.ScalarNode) -> Any:
        return self._number(node, parse_integer)

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        return self._number(node, parse_number)

    def _number(self, node: yaml.ScalarNode, make: Any) -> Any:
        text = self._scalar(node)
        try:
            return make(text)
        except ValueError:
            return RejectedScalar(text, "not a number")

    def construct_boolean(self, node: yaml.ScalarNode) -> Any:
        text = self._scalar(node)
        value = self.bool_values.get(text.lower())
        return RejectedScalar(text, "neither true nor false") if value is None else value

    def _scalar(self, node: yaml.ScalarNode) -> str:
        if not isinstance(node, yaml.ScalarNode):
            _reject(f"{node.tag.removeprefix(_TAG)} must be a single value", node.start_mark)
        text: str = node.value
        return text


def _reject(message: str, mark: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def _child_nodes(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _require_text(key: yaml.Node) -> None:
    if not isinstance(key, yaml.ScalarNode) or key.tag not in (_MERGE, f"{_TAG}str"):
        shown = f"the key {key.value}" if isinstance(key, yaml.ScalarNode) else "the key"
        _reject(f"{shown} must be text (put it in quotes)", key.start_mark)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _IGNORED_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.yaml_constructors = {
    tag: make
    for tag, make in yaml.SafeLoader.yaml_constructors.items()
    if tag in (None, *(f"{_TAG}{name}" for name in ("null", "str", "seq", "map")))
}
Loader.add_constructor(f"{_TAG}int", Loader.construct_whole_number)
Loader.add_constructor(f"{_TAG}float", Loader.construct_number)
Loader.add_constructor(f"{_TAG}bool", Loader.construct_boolean)


class InvalidConfig(Exception):
    """The file cannot be applied; nothing was changed. Each problem's location is its path in the file."""

    def __init__(self, problems: list[ValidationProblem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(describe, problems)))


def describe(problem: ValidationProblem) -> str:
    """Returns a problem with its path in the file: ``policies[2].limits[0].quota: must be …``."""
    return f"{path_of(problem.location) or 'file'}: {problem.message}"


def path_of(location: Location) -> str:
    """Returns a location as a path in the file: ``policies[2].limits[0].quota``; empty: the file as a whole."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


_LINE = "\n"
_TOO_DEEP = ValidationProblem(("file",), TOO_DEEP)


class _DuplicateKey(ValueError):
    """An object in JSON has the same name twice."""


def parse(text: str) -> Any:
    """Returns the plain data of a config file. Raises :class:`InvalidConfig` if it is neither JSON nor YAML,
    or nested too deeply."""
    data = _data(text)
    if is_nested_too_deeply(data):
        raise InvalidConfig([_TOO_DEEP])
    return data


def _data(text: str) -> Any:
    twice = None
    try:
        # YAML accepts most of JSON, but neither tabs nor a character escaped as a surrogate pair.
        return _JSON.decode(text)
    except _DuplicateKey as error:
        twice = ValidationProblem(("file",), str(error))
    except (ValueError, RecursionError):
        pass
    return _parse_yaml(text, twice)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Rejects duplicate names; YAML then reports the position."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise _DuplicateKey(f"the key “{name}” is a duplicate in one object.")
        fields[name] = value
    return fields


_JSON = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=parse_integer,
    parse_float=parse_number,
    parse_constant=lambda text: RejectedScalar(text, "not a finite number"),
)


def _parse_yaml(text: str, otherwise: ValidationProblem | None) -> Any:
    """``otherwise``: the error as JSON, for cases where YAML cannot report the position."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        problem = _problem(error, text)
        raise InvalidConfig([problem if otherwise is None or "duplicate" in problem.message else otherwise]) from error
    except RecursionError as error:
        raise InvalidConfig([_TOO_DEEP]) from error


def _problem(error: yaml.YAMLError, text: str) -> ValidationProblem:
    if isinstance(error, ReaderError):
        before = text[: error.position]
        place = f"line {before.count(_LINE) + 1}, column {len(before) - before.rfind(_LINE)}"
        return ValidationProblem((place,), f"the character U+{error.character:04X} is not allowed.")
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return ValidationProblem(
            (f"line {mark.line + 1}, column {mark.column + 1}",), error.problem or "is not valid YAML."
        )
    return ValidationProblem(("file",), f"is not valid YAML: {error}")
