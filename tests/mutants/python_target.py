"""Finding an expression of a Python function by the shape of its syntax tree."""

import ast
import builtins
from collections.abc import Iterator
from typing import Any

from tests.mutants.targets import Bindings, NotOnce, is_literal

_LITERAL = frozenset(dir(builtins))


def mutated(source: str, function: str, old: str, new: str) -> str:
    """The source with the only expression of the shape of ``old`` in ``function`` (``Class.method``) replaced by
    ``new``. Raises :class:`NotOnce`."""
    pattern = ast.parse(old, mode="eval").body
    nodes = [node for each in _functions(ast.parse(source), function) for node in ast.walk(each)]
    found = [(node, bound) for node in nodes if _agree(pattern, node, bound := Bindings())]
    if len(found) != 1:
        raise NotOnce(len(found))
    node, bound = found[0]
    return _replaced(source, node, ast.unparse(_Renaming(bound).visit(ast.parse(new, mode="eval")).body))


def _functions(tree: ast.AST, name: str) -> Iterator[ast.AST]:
    first, _, rest = name.partition(".")
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == first:
            yield from _functions(node, rest) if rest else [node]


def _agree(pattern: Any, node: Any, bound: Bindings) -> bool:
    """Whether the node has the shape of the pattern; ``bound`` gets the names."""
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(map(_agree, pattern, node, [bound] * len(node)))
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, ast.AST):
        return all(_agree_in(field, pattern, node, bound) for field in pattern._fields if field != "ctx")
    return bool(pattern == node)


def _agree_in(field: str, pattern: ast.AST, node: ast.AST, bound: Bindings) -> bool:
    wanted, found = getattr(pattern, field), getattr(node, field)
    if _is_variable(pattern, field, wanted):
        return bound.agree(wanted, found)
    return _agree(wanted, found, bound)


def _is_variable(node: ast.AST, field: str, name: Any) -> bool:
    named = (ast.Name, "id"), (ast.Attribute, "attr"), (ast.arg, "arg")
    is_name = any(isinstance(node, kind) and field == where for kind, where in named)
    return is_name and name not in _LITERAL and not is_literal(name)


class _Renaming(ast.NodeTransformer):
    def __init__(self, bound: Bindings) -> None:
        self._bound = bound

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, value in ast.iter_fields(node):
            if _is_variable(node, field, value):
                setattr(node, field, self._bound.get(value, value))
        return super().generic_visit(node)


def _replaced(source: str, node: Any, text: str) -> str:
    """The source with the node replaced. Offsets of nodes count bytes."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return before.decode() + f"({text})" + after.decode()
