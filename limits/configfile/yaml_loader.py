"""YAML without its surprises.

Dates stay text, numbers are decimal, a key that is there twice is an error, and so is a tag beyond
JSON's types. Aliases and merge keys are for limits that several policies share: what they stand for
is counted before anything is built, since a file of 300 bytes can name billions of values.
"""

from collections.abc import Hashable
from typing import Any, NoReturn

import yaml

from limits.configfile.spelling import Misspelled, number, whole_number

MAX_ALIASED = 100_000
"""Values that all aliases of a file may stand for."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_UNUSED = (f"{_TAG}timestamp", f"{_TAG}value")


class Loader(yaml.SafeLoader):
    """Raises ``yaml.MarkedYAMLError`` with the place of what it refuses."""

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
            self._sizes[id(node)] = 1 + sum(self._sizes[id(inner)] for inner in _inner(node))
        return node

    def _count_alias(self, node: yaml.Node, event: yaml.AliasEvent) -> None:
        size = self._sizes.get(id(node))
        if size is None:
            _refuse(f"the alias *{event.anchor} is inside of what it stands for", event.start_mark)
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            message = f"the aliases up to here stand for more than {MAX_ALIASED:,} values; write them out"
            _refuse(message, event.start_mark)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            _require_text(key)
            if key.value in seen:
                _refuse(f"the key “{key.value}” is there twice", key.start_mark)
            seen.add(key.value)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            _refuse("map must be a mapping", node.start_mark)
        self.flatten_mapping(node)
        # What was merged comes first, so that the mapping's own values replace it.
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def construct_whole_number(self, node: yaml.ScalarNode) -> Any:
        return self._number(node, whole_number)

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        return self._number(node, number)

    def _number(self, node: yaml.ScalarNode, make: Any) -> Any:
        text = self._scalar(node)
        try:
            return make(text)
        except ValueError:
            return Misspelled(text, "no number")

    def construct_boolean(self, node: yaml.ScalarNode) -> Any:
        text = self._scalar(node)
        value = self.bool_values.get(text.lower())
        return Misspelled(text, "neither true nor false") if value is None else value

    def _scalar(self, node: yaml.ScalarNode) -> str:
        if not isinstance(node, yaml.ScalarNode):
            _refuse(f"{node.tag.removeprefix(_TAG)} must be a single value", node.start_mark)
        text: str = node.value
        return text


def _refuse(message: str, mark: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _require_text(key: yaml.Node) -> None:
    if not isinstance(key, yaml.ScalarNode) or key.tag not in (_MERGE, f"{_TAG}str"):
        shown = f"the key {key.value}" if isinstance(key, yaml.ScalarNode) else "the key"
        _refuse(f"{shown} must be text (put it in quotes)", key.start_mark)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNUSED]
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
