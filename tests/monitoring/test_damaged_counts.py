"""Usage counts that were damaged by other programs: the drain omits invalid entries and continues."""

from datetime import UTC, datetime

import pytest

from limits.admin.home import warnings
from limits.models import Usage
from limits.monitoring.drain import drain
from ratelimit_enforcer.store import damage
from ratelimit_enforcer.store.keys import shard_of
from tests.api.test_damaged_data import TYPES
from tests.monitoring.counting import MINUTE, count, usage
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

GARBAGE: list[tuple[bytes, bytes]] = [
    (b"\xff\xfe", b"1"),
    (b"", b"1"),
    (b"no lines", b"1"),
    (b"1\na\nsearch\n\nacme\nmore", b"1"),
    (b"x\na\nsearch\n\nacme", b"1"),
    (b"-5\na\nsearch\n\nacme", b"1"),
    (b"99999999999999999999\na\nsearch\n\nacme", b"1"),
    (b"%d\nz\nsearch\n\nacme" % MINUTE, b"1"),
    (b"%d\ns\nsearch\n\nacme" % MINUTE, b"1"),
    (b"%d\na\nsearch\npolicy\nacme" % MINUTE, b"1"),
    (b"%d\n77\nsearch\npolicy\nacme" % MINUTE, b"1"),
    (b"%d\na\nSearch!\n\nacme" % MINUTE, b"1"),
    (b"%d\na\nsearch\n\nnul\x00" % MINUTE, b"1"),
    (b"%d\na\nsearch\n\n%s" % (MINUTE, b"k" * 300), b"1"),
    (b"%d\na\nsearch\n\none" % MINUTE, b"x"),
    (b"%d\na\nsearch\n\ntwo" % MINUTE, b"-3"),
    (b"%d\na\nsearch\n\nthree" % MINUTE, b"9" * 30),
    (b"%d\na\nsearch\n\nfour" % MINUTE, b"1.5"),
    (b"%d\na\nsearch\n\nfive" % MINUTE, b""),
]


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    damage._unreported.clear()


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_an_invalid_field_is_omitted(platform: Platform, garbage: tuple[bytes, bytes]) -> None:
    count(platform, "acme", 7)
    platform.redis.hset(platform.keys.usage[shard_of("acme")], *garbage)
    drain()
    assert usage() == {("acme", "search", "admitted"): (7, 7)}
    assert not platform.redis.exists(platform.keys.drains[shard_of("acme")])
    assert any(sentence.startswith("1 damaged entry found in Redis") for sentence in warnings())


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "hash"])
@pytest.mark.parametrize("which", ["usage", "drains"])
def test_a_key_that_is_not_a_hash_is_moved_aside(platform: Platform, which: str, kind: str) -> None:
    key = getattr(platform.keys, which)[shard_of("acme")]
    TYPES[kind](platform.redis, key)
    count(platform, "globex", 2)
    drain()
    count(platform, "acme", 3)
    drain()
    assert usage() == {("globex", "search", "admitted"): (2, 2), ("acme", "search", "admitted"): (3, 3)}
    moved = platform.keys.set_aside[shard_of("acme")]
    assert 0 < platform.redis.ttl(moved) <= 7 * 86_400
    assert any("usage counts: 1" in sentence for sentence in warnings())


@pytest.mark.parametrize("name", [b"", b"\xff", b"x" * 100])
def test_an_invalid_parcel_id_is_replaced(platform: Platform, name: bytes) -> None:
    count(platform, "acme", 3)
    shard = shard_of("acme")
    platform.redis.rename(platform.keys.usage[shard], platform.keys.drains[shard])
    platform.redis.hset(platform.keys.drains[shard], "id", name)
    drain()
    assert usage() == {("acme", "search", "admitted"): (3, 3)}


def test_a_minute_in_the_future_is_counted_in_the_present_one(platform: Platform) -> None:
    """The store's clock was ahead when the request was counted."""
    now = platform.redis.time()[0] // 60
    count(platform, "acme", 3, minute=now + 1_440)
    count(platform, "acme", 4, minute=now)
    drain()
    assert sum(Usage.objects.values_list("requests", flat=True)) == 7
    assert max(Usage.objects.values_list("minute", flat=True)) <= datetime.fromtimestamp((now + 2) * 60, UTC)
