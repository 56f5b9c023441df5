"""Shards are distributed evenly over the slots of a Cluster, and clients evenly over the shards."""

import binascii
from collections import Counter

import pytest

from ratelimit_enforcer.store.keys import SHARDS, TAGS, shard_of


def test_each_hash_tag_is_in_its_slot() -> None:
    assert [binascii.crc_hqx(tag.encode(), 0) % 16_384 for tag in TAGS] == [64 * i + 32 for i in range(SHARDS)]


@pytest.mark.parametrize("pattern", ["client-{:06d}", "user:{}", "ip:10.0.0.{}", "{:x}"])
def test_clients_are_distributed_evenly(pattern: str) -> None:
    counts = Counter(shard_of(pattern.format(number)) for number in range(100_000))
    mean = 100_000 / SHARDS
    assert len(counts) == SHARDS
    assert max(counts.values()) < 1.3 * mean


def test_the_shard_of_a_client_is_the_same_in_every_release() -> None:
    assert [shard_of(key) for key in ("acme", "user:1", "größe", "")] == [62, 130, 137, 0]
