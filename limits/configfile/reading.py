"""Text → plain data. YAML holds JSON, so one reader serves both."""

import json
from collections.abc import Hashable
from typing import Any

import yaml

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


_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: dates stay text, a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} must be text", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key “{key}” is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> Any:
    """The plain data of a config file. Raises :class:`ConfigRefused` where it is neither JSON nor
    YAML."""
    try:
        # YAML takes most of JSON, but neither tabs nor a character that is escaped as two.
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return _parse_yaml(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a name that is there twice; YAML then says where."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("A name is there twice.")
    return dict(pairs)


def _parse_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise ConfigRefused([Problem((where,), error.problem or "is not valid YAML.")]) from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        # PyYAML lets what its constructors of numbers and dates trip over through as it is.
        raise ConfigRefused([Problem(("file",), f"is not valid YAML: {error}")]) from error
