"""Attributes of a check: named values such as ``ip`` or ``model`` that policies count separately or match."""

import hashlib
import ipaddress
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ratelimit_enforcer.domain.addresses import IPV6_PREFIX, parse_address

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})

MAX_ATTRIBUTES = 8
MAX_VALUE_LENGTH = 256
MAX_PATTERNS = 100
IP = "ip"
CLIENT = "client"
CLIENT_TAGS = "client_tags"

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_LENGTH = struct.Struct(">I")
_DIGEST_BYTES = 15


def name_problem(name: str) -> str | None:
    """The reason why an attribute cannot have this name, or None."""
    if name == CLIENT:
        return "is the client, and not an attribute."
    return None if _NAME.fullmatch(name) else "must be 1 to 64 lowercase letters, digits and hyphens."


def value_problem(name: str, value: Any) -> str | None:
    """The reason why ``value`` is not valid for the attribute ``name``, or None."""
    if not isinstance(value, str):
        return "must be a string."
    if len(value) > MAX_VALUE_LENGTH:
        return f"must have at most {MAX_VALUE_LENGTH} characters."
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "must not contain lone surrogates."
    return "must be an IP address." if name == IP and value and parse_address(value) is None else None


def problems(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (name, message) for each wrong attribute; the name is empty if there are too many."""
    if len(attributes) > MAX_ATTRIBUTES:
        yield "", f"must be at most {MAX_ATTRIBUTES} attributes."
    for name, value in attributes.items():
        if message := name_problem(name) or value_problem(name, value):
            yield name, message


def normalized(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Valid attributes in the form in which they are compared: addresses in canonical form; an empty value is
    the same as no value."""
    found = {name: value for name, value in attributes.items() if value}
    if IP in found and (address := parse_address(found[IP])) is not None:
        found[IP] = str(address)
    return found


def values_digest(names: Iterable[str], attributes: Mapping[str, str]) -> str:
    """A digest of the values of these attributes, each with its length, so that no two lists of values have the
    same digest."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for value in counted_values(names, attributes):
        data = value.encode(errors="surrogatepass")
        digest.update(_LENGTH.pack(len(data)) + data)
    return digest.hexdigest()


def counted_values(names: Iterable[str], attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The values by which these attributes are counted separately; empty for one that the check lacks."""
    return tuple(_counted_value(name, attributes.get(name, "")) for name in names)


def _counted_value(name: str, value: str) -> str:
    """A subscriber usually has a whole IPv6 /64, and could use another address for each request."""
    if name != IP or ":" not in value:
        return value
    return str(ipaddress.ip_network((value, IPV6_PREFIX), strict=False))


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions: attribute → patterns, of which one must match the whole value (``*``: any characters); and
    tags that the client must have, all of them. A missing attribute matches the empty pattern only."""

    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    client_tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.attributes or self.client_tags)

    def includes(self, attributes: Mapping[str, str], tags: Collection[str]) -> bool:
        """Whether all conditions match a check with these attributes by a client with these tags."""
        return next(self._unmatched(attributes, tags), None) is None

    def unmatched(self, attributes: Mapping[str, str], tags: Collection[str], whom: str = "the client") -> str:
        """The conditions that do not match, in words; empty if all match. ``whom``: who has the tags, in words."""
        return " and ".join(self._unmatched(attributes, tags, whom))

    def _unmatched(
        self, attributes: Mapping[str, str], tags: Collection[str], whom: str = "the client"
    ) -> Iterator[str]:
        for name, patterns in self.attributes:
            value = attributes.get(name, "")
            if not any(_matches(pattern, value) for pattern in patterns):
                yield f"{name} is {patterns_in_words(patterns)}"
        yield from (f"{whom} has the tag {tag}" for tag in self.client_tags if tag not in tags)

    def __str__(self) -> str:
        conditions = [f"{name} is {patterns_in_words(patterns)}" for name, patterns in self.attributes]
        return "; ".join([*conditions, *(f"the client has the tag {tag}" for tag in self.client_tags)])


def match_of(conditions: Mapping[str, Any]) -> Match:
    """The conditions as the config file has them: attribute → patterns; ``client_tags`` → tags."""
    attributes = tuple((name, tuple(patterns)) for name, patterns in sorted(conditions.items()) if name != CLIENT_TAGS)
    return Match(attributes, tuple(sorted(conditions.get(CLIENT_TAGS, ()))))


def conditions_of(match: Match) -> dict[str, list[str]]:
    """The opposite of :func:`match_of`."""
    tags = {CLIENT_TAGS: list(match.client_tags)} if match.client_tags else {}
    return {name: list(patterns) for name, patterns in match.attributes} | tags


ALWAYS = Match()
"""Matches every check."""


def match_problems(match: Match) -> Iterator[tuple[str, str]]:
    """Yields (name, message) for each wrong condition on an attribute."""
    if len(match.attributes) > MAX_ATTRIBUTES:
        yield "", f"must have conditions on at most {MAX_ATTRIBUTES} attributes."
    for name, patterns in match.attributes:
        if message := name_problem(name):
            yield name, message
        if not 1 <= len(patterns) <= MAX_PATTERNS:
            yield name, f"must have 1 to {MAX_PATTERNS} patterns."
        elif any(len(pattern) > MAX_VALUE_LENGTH for pattern in patterns):
            yield name, f"each pattern must have at most {MAX_VALUE_LENGTH} characters."


def patterns_in_words(patterns: Iterable[str]) -> str:
    """“gpt-*” or “o1”; an empty pattern, which matches a missing attribute, is “missing”."""
    return " or ".join(f"“{pattern}”" if pattern else "missing" for pattern in patterns)


def _matches(pattern: str, value: str) -> bool:
    if not pattern or not value:
        return pattern == value
    return pattern == value if "*" not in pattern else _expression(pattern).fullmatch(value) is not None


@lru_cache(maxsize=4_096)
def _expression(pattern: str) -> re.Pattern[str]:
    """Without backtracking over earlier pieces: each piece is taken where it first occurs."""
    first, *middle, last = re.split(r"\*+", pattern)
    pieces = "".join(f"(?>.*?{re.escape(piece)})" for piece in middle)
    return re.compile(f"{re.escape(first)}{pieces}.*{re.escape(last)}", re.DOTALL)
