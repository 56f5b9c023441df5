"""Attributes of a check as people type them: “model=gpt-x”."""

from collections.abc import Iterable, Mapping

from ratelimit_enforcer.domain.attributes import normalized, problems
from ratelimit_enforcer.domain.validation import capitalized


class InvalidAttributes(ValueError):
    """The text is not an attribute; the message names the attribute and gives the reason."""


def typed_attributes(pairs: Iterable[str]) -> Mapping[str, str]:
    """Returns attribute → value in the form in which values are compared, from texts such as “ip=192.0.2.7”. Raises
    :class:`InvalidAttributes` for the first problem."""
    attributes: dict[str, str] = {}
    for name, sign, value in (pair.partition("=") for pair in pairs):
        if not sign:
            raise InvalidAttributes(f"“{name}” has no value: write “model=gpt-x”.")
        if name in attributes:
            raise InvalidAttributes(f"“{name}” has two values.")
        attributes[name] = value
    for name, message in problems(attributes):
        raise InvalidAttributes(f"{name} {message}" if name else capitalized(message))
    return normalized(attributes)
