"""Turns the descriptors of a request into checks, without I/O.

A descriptor is never rejected: values that a check may not have are replaced by their digest, and attributes beyond
the maximum are ignored, so that no caller of a proxy can turn its request into an error.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from gateway.proto.ratelimit_pb2 import RateLimitDescriptor
from gateway.proto.ratelimit_unit_pb2 import RateLimitUnit
from gateway.proto.rls_pb2 import RateLimitRequest
from ratelimit_enforcer.client_identifier import digest_of, subscriber_network, valid_client_key
from ratelimit_enforcer.domain.addresses import parse_address
from ratelimit_enforcer.domain.attributes import (
    IP,
    MAX_ATTRIBUTES,
    NO_ATTRIBUTES,
    name_problem,
    value_problem,
)
from ratelimit_enforcer.domain.calendar import DEFAULT_TIMEZONE
from ratelimit_enforcer.domain.decision import CheckRequest, is_in_range
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import MAX_QUOTA, Limit
from ratelimit_enforcer.domain.reservations import MAX_SETTLED_COST

WHOLE_RULESET = "default"
"""The domain with every endpoint, as the empty one. Envoy requires a domain that is not empty."""

MAX_PATH_LENGTH = 8_192
"""Longer paths are truncated, so that a route that ends in ``/*`` still matches them."""


MAX_CACHED_BYTES = 1_024


class Operation(Enum):
    """What a descriptor asks for."""

    CHECK = "check"
    PEEK = "peek"
    CHARGE = "charge"
    REFUND = "refund"


class Item(NamedTuple):
    """What one descriptor asks for. ``check`` None: the descriptor names neither a client nor an address, so that
    nothing limits it. ``cost``: units, at least 1; None: the endpoint's cost. A cost beyond the maximum of a check is
    only here, and not in ``check``."""

    operation: Operation
    check: CheckRequest | None
    cost: int | None = None


UNMATCHED = Item(Operation.CHECK, None)

_OPERATIONS = {"check": Operation.CHECK, "peek": Operation.PEEK, "charge": Operation.CHARGE}


class Asked(NamedTuple):
    """What a request asks for, one item for each descriptor, in order. ``adjusts``: it charges, refunds or brings a
    limit, so that the scope ``adjust`` is required."""

    items: tuple[Item, ...]
    adjusts: bool


def asked_in(message: bytes) -> Asked:
    """What a ``RateLimitRequest`` asks for. Raises ``DecodeError`` for other bytes."""
    return _cached(message) if len(message) <= MAX_CACHED_BYTES else _asked(message)


def _asked(message: bytes) -> Asked:
    request = RateLimitRequest.FromString(message)
    domain, hits = "" if request.domain == WHOLE_RULESET else request.domain, request.hits_addend
    items = tuple([_item(descriptor, domain, hits) for descriptor in request.descriptors])
    return Asked(items, any(map(_adjusts, items)))


_cached = lru_cache(maxsize=4_096)(_asked)
"""Proxies send many requests again: the same client, method and path."""


def _adjusts(item: Item) -> bool:
    operation, check, _ = item
    return operation is Operation.CHARGE or operation is Operation.REFUND or (check is not None and bool(check.limit))


def _item(descriptor: RateLimitDescriptor, domain: str, hits: int) -> Item:
    fields = {entry.key: entry.value for entry in descriptor.entries}
    address, by_address = _address(fields.pop("remote_address", ""))
    client = fields.pop("client", "")
    client = valid_client_key(client) if client else by_address
    if not client:
        return UNMATCHED
    operation, cost = _operation_and_cost(descriptor, fields.pop("operation", ""), hits)
    endpoint, method, path = _endpoint(fields)
    attributes = _attributes(fields, address) if fields else _only_address(address)
    limit = _limit_of(descriptor) if descriptor.HasField("limit") else None
    checked = cost if cost and is_in_range(cost) else None
    check = CheckRequest(
        client, endpoint, method, path, checked, False, attributes, domain=domain, limit=limit, takes_places=False
    )
    return Item(operation, check, cost)


def _operation_and_cost(descriptor: RateLimitDescriptor, named: str, hits: int) -> tuple[Operation, int | None]:
    operation = _OPERATIONS.get(named, Operation.CHECK)
    if descriptor.HasField("hits_addend"):
        hits = descriptor.hits_addend.value
        if not hits:
            return Operation.PEEK, 1
    if descriptor.is_negative_hits:
        operation = Operation.REFUND
    return operation, min(hits, MAX_SETTLED_COST) or None


def _endpoint(fields: dict[str, str]) -> tuple[str | None, str | None, str | None]:
    """The endpoint's slug, or else method and path; takes them from the entries."""
    endpoint, method, path = fields.pop("endpoint", ""), fields.pop("method", ""), fields.pop("path", "")
    if endpoint or not path:
        return endpoint or None, None, None
    return None, method or "GET", path[:MAX_PATH_LENGTH]


@lru_cache(maxsize=16_384)
def _address(text: str) -> tuple[str, str]:
    """The address as an attribute, empty if the text is none; and the client that stands for it, empty for no text."""
    if not text:
        return "", ""
    address = parse_address(text)
    return "" if address is None else str(address), valid_client_key(f"ip:{subscriber_network(text)}")


@lru_cache(maxsize=16_384)
def _only_address(address: str) -> Mapping[str, str]:
    return {IP: address} if address else NO_ATTRIBUTES


def _attributes(fields: Mapping[str, str], address: str) -> Mapping[str, str]:
    """The valid attributes among these entries. ``address`` takes precedence over an entry with the name ``ip``."""
    attributes = {IP: address} if address else {}
    for key, value in fields.items():
        name = _attribute_name(key)
        if not name or not value or name in attributes:
            continue
        if len(attributes) == MAX_ATTRIBUTES:
            break
        if name == IP:
            value = _address(value)[0]
            if not value:
                continue
        attributes[name] = value if value_problem(name, value) is None else digest_of(value)
    return attributes


@lru_cache(maxsize=1_024)
def _attribute_name(key: str) -> str:
    """The name of an attribute for the key of an entry, such as ``generic-key`` for ``generic_key``; empty if none
    can have it."""
    name = key.lower().replace("_", "-")
    return name if name_problem(name) is None else ""


_UNITS = {
    RateLimitUnit.SECOND: Limit(0, 1),
    RateLimitUnit.MINUTE: Limit(0, 60),
    RateLimitUnit.HOUR: Limit(0, 3_600),
    RateLimitUnit.DAY: Limit(0, 86_400),
    RateLimitUnit.MONTH: Limit(0, algorithm=Algorithm.CALENDAR, period=Period.MONTH, timezone=DEFAULT_TIMEZONE),
    RateLimitUnit.YEAR: Limit(0, algorithm=Algorithm.CALENDAR, period=Period.YEAR, timezone=DEFAULT_TIMEZONE),
}


def _limit_of(descriptor: RateLimitDescriptor) -> Limit | None:
    """The limit of a request: a sliding window, or a calendar month or year. None for an unknown unit."""
    unit = _UNITS.get(descriptor.limit.unit)
    return unit and replace(unit, quota=min(descriptor.limit.requests_per_unit, MAX_QUOTA))
