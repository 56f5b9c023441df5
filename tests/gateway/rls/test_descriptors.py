"""What descriptors ask for."""

from typing import Any

import pytest

from gateway.proto.ratelimit_pb2 import RateLimitDescriptor
from gateway.proto.rls_pb2 import RateLimitRequest
from gateway.rls.descriptors import UNMATCHED, Asked, Item, Operation, asked_in
from ratelimit_enforcer.client_identifier import digest_of
from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import Limit

LONG = "x" * 257


def request_of(*descriptors: RateLimitDescriptor, domain: str = "default", hits: int = 0) -> RateLimitRequest:
    return RateLimitRequest(domain=domain, descriptors=descriptors, hits_addend=hits)


def descriptor(entries: dict[str, str], **fields: Any) -> RateLimitDescriptor:
    hits = fields.pop("hits", None)
    made = RateLimitDescriptor(**fields)
    made.entries.extend(RateLimitDescriptor.Entry(key=key, value=value) for key, value in entries.items())
    if hits is not None:
        made.hits_addend.value = hits
    return made


def asked(*descriptors: RateLimitDescriptor, **fields: Any) -> Asked:
    return asked_in(request_of(*descriptors, **fields).SerializeToString())


def item(entries: dict[str, str], **fields: Any) -> Item:
    (found,) = asked(descriptor(entries, **fields)).items
    return found


def check(entries: dict[str, str], **fields: Any) -> CheckRequest:
    found = item(entries, **fields).check
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"client": "acme"}, CheckRequest("acme")),
        ({"client": "acme", "endpoint": "search"}, CheckRequest("acme", "search")),
        ({"client": "acme", "method": "POST", "path": "/a?b=c"}, CheckRequest("acme", None, "POST", "/a?b=c")),
        ({"client": "acme", "path": "/a"}, CheckRequest("acme", None, "GET", "/a")),
        ({"client": "acme", "method": "POST"}, CheckRequest("acme")),
        ({"client": "acme", "endpoint": "search", "path": "/a"}, CheckRequest("acme", "search")),
        ({"client": "acme", "endpoint": "", "path": "/a"}, CheckRequest("acme", None, "GET", "/a")),
        ({"client": "acme", "path": "/" + "x" * 9_000}, CheckRequest("acme", None, "GET", "/" + "x" * 8_191)),
        ({"client": LONG}, CheckRequest(digest_of(LONG))),
        ({"client": "a\nb"}, CheckRequest(digest_of("a\nb"))),
        ({"remote_address": "192.0.2.7"}, CheckRequest("ip:192.0.2.7", attributes={"ip": "192.0.2.7"})),
        ({"client": "", "remote_address": "192.0.2.7"}, CheckRequest("ip:192.0.2.7", attributes={"ip": "192.0.2.7"})),
        ({"remote_address": "2001:DB8::1"}, CheckRequest("ip:2001:db8::/64", attributes={"ip": "2001:db8::1"})),
        ({"remote_address": "::ffff:192.0.2.7"}, CheckRequest("ip:192.0.2.7", attributes={"ip": "192.0.2.7"})),
        ({"remote_address": "/run/envoy.sock"}, CheckRequest("ip:/run/envoy.sock")),
        ({"client": "acme", "remote_address": "::1"}, CheckRequest("acme", attributes={"ip": "::1"})),
        ({"client": "acme", "ip": "192.0.2.7"}, CheckRequest("acme", attributes={"ip": "192.0.2.7"})),
        ({"client": "acme", "ip": "nowhere"}, CheckRequest("acme")),
        (
            {"client": "acme", "ip": "192.0.2.8", "remote_address": "192.0.2.7"},
            CheckRequest("acme", attributes={"ip": "192.0.2.7"}),
        ),
        ({"client": "acme", "model": "gpt-5"}, CheckRequest("acme", attributes={"model": "gpt-5"})),
        ({"client": "acme", "generic_key": "a"}, CheckRequest("acme", attributes={"generic-key": "a"})),
        ({"client": "acme", "model": LONG}, CheckRequest("acme", attributes={"model": digest_of(LONG)})),
        ({"client": "acme", "model": ""}, CheckRequest("acme")),
        ({"client": "acme", "modèle": "a"}, CheckRequest("acme")),
        (
            {"client": "acme", "remote_address": "::1"} | {f"a{n}": "x" for n in range(9)},
            CheckRequest("acme", attributes={"ip": "::1"} | {f"a{n}": "x" for n in range(7)}),
        ),
    ],
)
def test_entries_are_the_fields_of_a_check(entries: dict[str, str], expected: CheckRequest) -> None:
    assert item(entries) == Item(Operation.CHECK, expected._replace(takes_places=False))


@pytest.mark.parametrize("entries", [{}, {"path": "/a"}, {"client": ""}, {"remote_address": ""}])
def test_without_client_and_address_nothing_limits_a_descriptor(entries: dict[str, str]) -> None:
    assert item(entries) is UNMATCHED


@pytest.mark.parametrize(("domain", "expected"), [("", ""), ("default", ""), ("shop", "shop")])
def test_the_domain_selects_endpoints(domain: str, expected: str) -> None:
    (found,) = asked(descriptor({"client": "acme"}), domain=domain).items
    assert found.check is not None
    assert found.check.domain == expected


C, P, D, R = Operation.CHECK, Operation.PEEK, Operation.CHARGE, Operation.REFUND


@pytest.mark.parametrize(
    ("named", "of_request", "of_descriptor", "negative", "operation", "cost", "checked"),
    [
        ("", 0, None, False, C, None, None),
        ("check", 0, None, False, C, None, None),
        ("unknown", 0, None, False, C, None, None),
        ("", 3, None, False, C, 3, 3),
        ("", 3, 4, False, C, 4, 4),
        ("", 3, 0, False, P, 1, 1),
        ("charge", 0, 0, False, P, 1, 1),
        ("", 0, 0, True, P, 1, 1),
        ("peek", 0, None, False, P, None, None),
        ("peek", 0, 7, False, P, 7, 7),
        ("", 0, 10**6, False, C, 10**6, 10**6),
        ("", 0, 10**6 + 1, False, C, 10**6 + 1, None),
        ("", 2**32 - 1, None, False, C, 10**9, None),
        ("", 0, 2**64 - 1, False, C, 10**9, None),
        ("charge", 0, None, False, D, None, None),
        ("charge", 0, 1_234_567, False, D, 1_234_567, None),
        ("", 0, 5, True, R, 5, 5),
        ("charge", 0, 5, True, R, 5, 5),
        ("", 5, None, True, R, 5, 5),
    ],
)
def test_hits_are_the_cost(
    named: str,
    of_request: int,
    of_descriptor: int | None,
    negative: bool,
    operation: Operation,
    cost: int | None,
    checked: int | None,
) -> None:
    made = descriptor({"client": "acme", "operation": named}, hits=of_descriptor, is_negative_hits=negative)
    found = asked(made, hits=of_request)
    expected = CheckRequest("acme", cost=checked, takes_places=False)
    assert found == Asked((Item(operation, expected, cost),), operation in (D, R))


@pytest.mark.parametrize(
    ("requests", "unit", "limit"),
    [
        (5, "SECOND", Limit(5, 1)),
        (5, "MINUTE", Limit(5, 60)),
        (5, "HOUR", Limit(5, 3_600)),
        (5, "DAY", Limit(5, 86_400)),
        (5, "MONTH", Limit(5, None, Algorithm.CALENDAR, period=Period.MONTH, timezone="UTC")),
        (5, "YEAR", Limit(5, None, Algorithm.CALENDAR, period=Period.YEAR, timezone="UTC")),
        (0, "HOUR", Limit(0, 3_600)),
        (2**32 - 1, "HOUR", Limit(10**9, 3_600)),
        (5, "UNKNOWN", None),
    ],
)
def test_a_request_may_bring_a_limit(requests: int, unit: str, limit: Limit | None) -> None:
    override = {"requests_per_unit": requests, "unit": unit}
    found = asked(descriptor({"client": "acme"}, limit=override))
    expected = CheckRequest("acme", takes_places=False, limit=limit)
    assert found == Asked((Item(Operation.CHECK, expected),), limit is not None)


def test_each_descriptor_is_one_item_in_order() -> None:
    found = asked(descriptor({"client": "a"}), descriptor({}), descriptor({"client": "b"}))
    assert [each.check and each.check.client for each in found.items] == ["a", None, "b"]


def test_a_request_too_long_for_the_cache_asks_the_same() -> None:
    entries = {"client": "acme"} | {f"a{n}": "x" * 200 for n in range(8)}
    assert item(entries).check == CheckRequest(
        "acme", attributes={f"a{n}": "x" * 200 for n in range(8)}, takes_places=False
    )
