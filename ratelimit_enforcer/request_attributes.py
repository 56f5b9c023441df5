"""The attributes of a request to a view: the address, those of the settings, and those of the view."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.throttling import BaseThrottle

from ratelimit_enforcer.client_identifier import PLAIN_THROTTLE, AnyRequest, caller_address, function_of_request
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.attributes import IP, MAX_VALUE_LENGTH, normalized, problems
from ratelimit_enforcer.per_process import cached_property

Attributes = Mapping[str, Any]
"""Attribute → its value, or a callable that takes the request and returns it."""


OwnAttributes = Attributes | Callable[[Any], Attributes | None] | None
"""The attributes of a view, or a callable that takes the request and returns them."""


class RequestAttributes(Mapping[str, str]):
    """The attributes of a request, computed when a policy asks for the first one: most rules ask for none."""

    def __init__(self, request: AnyRequest, own: OwnAttributes = None, throttle: BaseThrottle = PLAIN_THROTTLE) -> None:
        """``own`` and ``throttle``: as for :func:`attributes_of`."""
        self._arguments = request, own, throttle

    @cached_property
    def _values(self) -> Mapping[str, str]:
        return attributes_of(*self._arguments)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def attributes_of(
    request: AnyRequest, own: OwnAttributes = None, throttle: BaseThrottle = PLAIN_THROTTLE
) -> Mapping[str, str]:
    """The attributes of a request, normalized. ``own``: those of the view, which take precedence over those of
    ``RATELIMIT_PLATFORM["ATTRIBUTES"]``, and these over ``ip``, the caller's address.

    A value that is None or empty is no value, and a longer one than allowed is cut: callers often choose it. Raises
    ``ImproperlyConfigured`` for any other wrong attribute.
    """
    found: dict[str, Any] = {}
    if address := caller_address(request, throttle):
        found[IP] = address
    found |= {name: function_of_request(path)(request) for name, path in setting("ATTRIBUTES").items()}
    of_view = (own(request) if callable(own) else own) or {}
    found |= {name: value(request) if callable(value) else value for name, value in of_view.items()}
    values = {name: _cut(value) for name, value in found.items() if value is not None}
    if problem := next(problems(values), None):
        raise ImproperlyConfigured(f"The attribute {problem[0]} of a request {problem[1]}")
    return normalized(values)


def _cut(value: Any) -> Any:
    return value[:MAX_VALUE_LENGTH] if isinstance(value, str) else value
