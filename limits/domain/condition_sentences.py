"""What a policy counts separately and its conditions, as sentences with an example."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from ratelimit_enforcer.domain.attributes import IP, Match, normalized, patterns_in_words, value_problem
from ratelimit_enforcer.domain.enums import Partition

_CLIENT, _OTHER_CLIENT = "acme", "globex"
_ADDRESSES, _VALUES = ("192.0.2.7", "198.51.100.7"), ("x", "y")
_ADDRESS_PARTS = ("7", "0.7", "0.0.7", "192.0.2.7", ":7", "::7", "")
_PARTS = ("x", "")


def conditions_sentence(partition: Partition, attributes: Sequence[str], match: Match) -> str:
    """Returns which checks a policy applies to and how it counts them, such as “Applies only to checks whose model is
    “gpt-*”; each client is counted separately. Example: acme with model “gpt-x” is counted; …”."""
    where = f"Applies only to checks {_conditions(match)}" if match else "No conditions"
    example = _match_example(match) if match else _counters_example(partition, attributes)
    return f"{where}; {_counters(partition, attributes)}." + (f" Example: {example}." if example else "")


def included_value(name: str, patterns: Sequence[str]) -> str | None:
    """Returns a value of the attribute that one of the patterns matches; empty: a check without the attribute. None if
    none is found."""
    parts = _ADDRESS_PARTS if name == IP else _PARTS
    values = (re.sub(r"\*+", part, pattern) for pattern, part in product(patterns, parts))
    return next((value for value in values if not value_problem(name, value) and _matches(name, patterns, value)), None)


def excluded_value(name: str, patterns: Sequence[str]) -> str | None:
    """Returns a value of the attribute that no pattern matches, as :func:`included_value` does."""
    values = ("", *_ADDRESSES) if name == IP else ("", "other")
    return next((value for value in values if not _matches(name, patterns, value)), None)


def _matches(name: str, patterns: Sequence[str], value: str) -> bool:
    return Match(((name, tuple(patterns)),)).includes(normalized({name: value}), ())


def _conditions(match: Match) -> str:
    conditions = [f"whose {name} is {patterns_in_words(patterns)}" for name, patterns in match.attributes]
    if match.client_tags:
        conditions.append(f"whose client has {_tags(match.client_tags)}")
    return _listed(conditions)


def _counters(partition: Partition, attributes: Sequence[str]) -> str:
    whose = "each client is counted separately" if partition is Partition.CLIENT else "all clients are counted together"
    if not attributes:
        return whose
    return f"{whose} for each {'combination of ' if len(attributes) > 1 else ''}{_listed(attributes)}"


def _match_example(match: Match) -> str:
    values = {name: included_value(name, patterns) for name, patterns in match.attributes}
    found = {name: value for name, value in values.items() if value is not None}
    if len(found) < len(values):
        return ""
    excluded = _excluded(match)
    return f"{_check(found, match.client_tags)} is counted" + (f"; {excluded} is not" if excluded else "")


def _excluded(match: Match) -> str:
    """A check that the first condition that can exclude one excludes; empty if there is none."""
    for name, patterns in match.attributes:
        value = excluded_value(name, patterns)
        if value is not None:
            return _check({name: value})
    return f"{_CLIENT} without the tag {match.client_tags[0]}" if match.client_tags else ""


def _counters_example(partition: Partition, attributes: Sequence[str]) -> str:
    if not attributes:
        return ""
    values = {name: (_ADDRESSES if name == IP else _VALUES)[0] for name in attributes}
    if partition is Partition.GLOBAL:
        return f"{_CLIENT} and {_check(values, client=_OTHER_CLIENT)} are counted together"
    first = attributes[0]
    other = values | {first: (_ADDRESSES if first == IP else _VALUES)[1]}
    return f"{_check(values)} and {_check(other)} are counted separately"


def _check(values: Mapping[str, str], tags: Sequence[str] = (), client: str = _CLIENT) -> str:
    """A check of the client with these values; an empty value stands for a missing attribute."""
    having = [f"{name} “{value}”" for name, value in values.items() if value]
    if tags:
        having.append(_tags(tags))
    missing = [f"the attribute {name}" for name, value in values.items() if not value]
    with_and_without = [f"{word} {_listed(each)}" for word, each in (("with", having), ("without", missing)) if each]
    return f"{client} {' and '.join(with_and_without)}"


def _tags(tags: Sequence[str]) -> str:
    return f"the tag{'s' if len(tags) > 1 else ''} {_listed(tags)}"


def _listed(items: Iterable[str]) -> str:
    """“a”, “a and b”, “a, b and c”"""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
