"""Route patterns: which endpoint a method and a path belong to.

Paths are compared segment by segment. In each segment, a literal takes precedence over a parameter,
and a parameter over a trailing ``/*``; then a named method over ``*``. Paths are normalized before the
comparison, so that no spelling of a path can evade a limit (RFC 3986, section 6.2.2).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

ANY_METHOD = "*"
_PARAMETER = re.compile(r"\{[^{}/]+\}")
_METHOD = re.compile(r"[A-Z]+|\*")
_WILDCARD = "*"
_PLAIN_PATH = re.compile(r"(?:/[0-9A-Za-z._~-]+)+")
"""A path that is already in normal form."""


class PatternError(ValueError):
    """An invalid route pattern; the message says why."""


@dataclass(frozen=True, slots=True)
class Route:
    """``GET /api/products/{id}``: a method (or ``*``) and a path pattern."""

    method: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "Route":
        """Reads ``METHOD /path``. Raises :class:`PatternError`."""
        method, _, path = text.strip().partition(" ")
        path = path.strip()
        if not path:
            raise PatternError("must be a method and a path, such as “GET /api/products/{id}”.")
        if not _METHOD.fullmatch(method):
            raise PatternError("must begin with a method in uppercase letters, or with * for every method.")
        _check_path(path)
        return cls("GET" if method == "HEAD" else method, path)

    @property
    def shape(self) -> str:
        """The pattern without parameter names: routes of the same shape match the same requests."""
        return f"{self.method} /{'/'.join(_shapes(self.path))}"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise PatternError("must have a path that begins with “/”.")
    if any(ord(character) < 33 or ord(character) == 127 for character in path):
        raise PatternError("must not contain spaces or control characters.")
    if "?" in path or "#" in path:
        raise PatternError("must be a path only, without a query string or fragment.")
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments):
        _check_segment(segment, is_last=position == len(segments) - 1)


def _check_segment(segment: str, *, is_last: bool) -> None:
    if (segment == _WILDCARD and is_last) or _PARAMETER.fullmatch(segment):
        return
    if "{" in segment or "}" in segment:
        raise PatternError(f"has “{segment}”; a parameter must be a whole segment, such as “{{id}}”.")
    if _WILDCARD in segment:
        raise PatternError("may have “*” only as the last segment, for every path below.")
    if segment in (".", ".."):
        raise PatternError("must not have a segment “.” or “..”.")


def _shapes(pattern: str) -> list[str]:
    parts = pattern.split("/")[1:]
    last = len(parts) - 1
    return [_shape(part, is_last=at == last) for at, part in enumerate(parts) if part]


def _shape(part: str, *, is_last: bool) -> str:
    if _PARAMETER.fullmatch(part):
        return "{}"
    return part if part == _WILDCARD and is_last else _escaped_literal(unquote(part))


def _escaped_literal(segment: str) -> str:
    """Escapes a literal that looks like a wildcard, so that it remains a literal."""
    return f"\\{segment}" if segment in (_WILDCARD, "{}") or segment.startswith("\\") else segment


def path_segments(path: str) -> list[str]:
    """The segments of a request's path in normal form: without query string and fragment,
    percent-decoded, without empty segments, dot segments resolved."""
    return _without_dots(unquote(_without_query(path)).split("/"))


def data_segments(path: str) -> list[str]:
    """Like :func:`path_segments`, but an encoded slash does not end a segment: some servers treat it as data."""
    return _without_dots([unquote(segment) for segment in _without_query(path).split("/")])


def decoded_segments(path: str) -> list[str]:
    """The segments of a path that a framework has decoded and matches as it is; only empty segments are
    removed. Decoding it again, or resolving its dots, would let a caller choose the endpoint that
    the request counts for."""
    return [segment for segment in path.split("/") if segment]


def _without_query(path: str) -> str:
    return path.partition("?")[0].partition("#")[0]


def _without_dots(segments: Iterable[str]) -> list[str]:
    resolved: list[str] = []
    for segment in segments:
        if segment == "..":
            del resolved[-1:]
        elif segment not in ("", "."):
            resolved.append(segment)
    return resolved


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    ends: dict[str, str] = field(default_factory=dict)
    below: dict[str, str] = field(default_factory=dict)

    def child(self, shape: str) -> "_Node":
        if shape == "{}":
            self.parameter = self.parameter or _Node()
            return self.parameter
        return self.literals.setdefault(shape, _Node())


class Router:
    """Finds the endpoint of a request. Patterns form a tree; a match visits each node at most once."""

    def __init__(self, routes: Iterable[tuple[Route, str]]) -> None:
        """``routes``: pairs of a route and the slug of its endpoint."""
        self._root = _Node()
        self._plain: dict[str, dict[str, str]] = {}
        for route, slug in routes:
            self._add(route, slug)

    def _add(self, route: Route, slug: str) -> None:
        shapes = _shapes(route.path)
        node = self._root
        everything_below = shapes[-1:] == [_WILDCARD]
        for shape in shapes[:-1] if everything_below else shapes:
            node = node.child(shape)
        (node.below if everything_below else node.ends).setdefault(route.method, slug)
        if _PLAIN_PATH.fullmatch(route.path) and _without_dots(shapes) == shapes:
            self._plain[route.path] = node.ends

    def match(self, method: str, path: str, *, decoded: bool = False) -> str | None:
        """The slug of the endpoint whose pattern is the most specific match, or None.

        ``path`` is as it was sent; with ``decoded``, as a framework decoded it and matches it.
        """
        if (ends := self._plain.get(path)) is not None and method in ends:
            return ends[method]
        if decoded:
            return self._find(method, decoded_segments(path))
        found = self._find(method, path_segments(path))
        if found is None and "%2f" in path.lower():
            return self._find(method, data_segments(path))
        return found

    def _find(self, method: str, segments: list[str]) -> str | None:
        method = "GET" if method.upper() == "HEAD" else method.upper()
        return next(_candidates(self._root, [_escaped_literal(segment) for segment in segments], 0, method), None)


def _candidates(node: _Node, segments: list[str], at: int, method: str) -> Iterator[str]:
    if at == len(segments):
        yield from _by_method(node.ends, method)
    else:
        literal = node.literals.get(segments[at])
        for child in (literal, node.parameter):
            if child is not None:
                yield from _candidates(child, segments, at + 1, method)
        yield from _by_method(node.below, method)


def _by_method(slugs: dict[str, str], method: str) -> Iterator[str]:
    for name in (method, ANY_METHOD):
        if name in slugs:
            yield slugs[name]
