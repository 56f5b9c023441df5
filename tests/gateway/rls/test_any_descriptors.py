"""Whatever a proxy sends, the checks are valid."""

from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.proto.rls_pb2 import RateLimitRequest
from gateway.rls.descriptors import Asked, asked_in
from ratelimit_enforcer.domain.attributes import problems
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.limit import limit_problems
from ratelimit_enforcer.domain.reservations import MAX_SETTLED_COST
from tests.gateway.rls.test_descriptors import descriptor, request_of
from tests.support.histories import history_settings

KEYS = st.sampled_from(
    ["client", "endpoint", "method", "path", "remote_address", "operation", "ip", "model", "generic_key", "client_tags"]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = TEXTS | st.ip_addresses().map(str) | st.sampled_from(["check", "peek", "charge"])
ENTRIES = st.dictionaries(KEYS | TEXTS.filter(bool), VALUES, max_size=14)
LIMITS = st.fixed_dictionaries({"requests_per_unit": st.integers(0, 2**32 - 1), "unit": st.integers(0, 9)})
DESCRIPTORS = st.builds(
    lambda entries, hits, limit, negative: descriptor(
        entries, hits=hits, is_negative_hits=negative, **({"limit": limit} if limit else {})
    ),
    ENTRIES,
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | LIMITS,
    st.booleans(),
)


def require_valid(asked: Asked) -> None:
    for item in asked.items:
        check = item.check
        assert item.cost is None or 1 <= item.cost <= MAX_SETTLED_COST
        if check is None:
            continue
        assert key_problem(check.client) is None
        assert list(problems(check.attributes)) == []
        assert check.limit is None or list(limit_problems(check.limit)) == []
        assert check.endpoint is None or check.path is None
        assert not check.takes_places


@pytest.mark.timeout(3_600)  # with `make fuzz`
@history_settings(500)
@given(st.lists(DESCRIPTORS, max_size=2), TEXTS, st.integers(0, 2**32 - 1))
def test_any_descriptors_are_valid_checks(descriptors: list[object], domain: str, hits: int) -> None:
    message = request_of(*descriptors, domain=domain, hits=hits).SerializeToString()  # type: ignore[arg-type]
    asked = asked_in(message)
    require_valid(asked)
    assert len(asked.items) == len(descriptors)
    assert asked_in(message) == asked


@history_settings(500)
@given(st.binary(max_size=200) | st.builds(RateLimitRequest.SerializeToString, st.builds(RateLimitRequest)))
def test_any_bytes_are_a_request_or_an_error(message: bytes) -> None:
    with suppress(DecodeError):
        require_valid(asked_in(message))
