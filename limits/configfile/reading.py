"""Text → plain data. YAML holds JSON, so one reader serves both."""

import json
from typing import Any

import yaml
from yaml.reader import ReaderError

from limits.configfile.spelling import Misspelled, number, whole_number
from limits.configfile.yaml_loader import Loader
from limits.domain.nesting import TOO_DEEP, is_nested_too_deeply
from limits.domain.problems import Problem


class ConfigRefused(Exception):
    """The file cannot be applied; nothing was changed. Each problem's location is its path in the
    file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(describe, problems)))


def describe(problem: Problem) -> str:
    """``policies[2].limits[0].quota: must be …``"""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.location)
    return f"{path.lstrip('.') or 'file'}: {problem.message}"


_LINE = "\n"
_TOO_DEEP = Problem(("file",), TOO_DEEP)


class _Twice(ValueError):
    """A name is there twice in one object of JSON."""


def parse(text: str) -> Any:
    """The plain data of a config file. Raises :class:`ConfigRefused` where it is neither JSON nor
    YAML, or nested too deeply."""
    data = _data(text)
    if is_nested_too_deeply(data):
        raise ConfigRefused([_TOO_DEEP])
    return data


def _data(text: str) -> Any:
    twice = None
    try:
        # YAML takes most of JSON, but neither tabs nor a character that is escaped as two.
        return _JSON.decode(text)
    except _Twice as error:
        twice = Problem(("file",), str(error))
    except (ValueError, RecursionError):
        pass
    return _parse_yaml(text, twice)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a name that is there twice; YAML then says where."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise _Twice(f"the key “{name}” is there twice in one object.")
        fields[name] = value
    return fields


_JSON = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=whole_number,
    parse_float=number,
    parse_constant=lambda text: Misspelled(text, "no number that can be counted to"),
)


def _parse_yaml(text: str, otherwise: Problem | None) -> Any:
    """``otherwise``: what is wrong with it as JSON, where YAML cannot say where that is."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        problem = _problem(error, text)
        raise ConfigRefused([problem if otherwise is None or "twice" in problem.message else otherwise]) from error
    except RecursionError as error:
        raise ConfigRefused([_TOO_DEEP]) from error


def _problem(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, ReaderError):
        before = text[: error.position]
        place = f"line {before.count(_LINE) + 1}, column {len(before) - before.rfind(_LINE)}"
        return Problem((place,), f"the character U+{error.character:04X} is not allowed.")
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return Problem((f"line {mark.line + 1}, column {mark.column + 1}",), error.problem or "is not valid YAML.")
    return Problem(("file",), f"is not valid YAML: {error}")
