"""Blocks: which of them match a check, and the forms of networks."""

import ipaddress
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.addresses import parse_network
from ratelimit_enforcer.domain.blocks import Block, Blocks, described
from ratelimit_enforcer.domain.rules import Plan
from ratelimit_enforcer.domain.ruleset import Ruleset, UnreadableRuleset
from ratelimit_enforcer.domain.selection import Selection
from ratelimit_enforcer.domain.validation import ruleset_problems

CHRISTMAS = 1_798_070_400_000_000  # 2026-12-24T00:00:00Z


def network(text: str, **fields: object) -> Block:
    return replace(Block(network=text, reason="scraping"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("block", "key", "address", "matches"),
    [
        (Block("acme"), "acme", "", True),
        (Block("acme"), "acme-7", "", False),
        (Block(prefix="acme-"), "acme-7", "", True),
        (Block(prefix="acme-"), "acme-", "", True),
        (Block(prefix="acme-"), "acme", "", False),
        (Block(prefix="acme-"), "my-acme-7", "", False),
        (network("203.0.113.0/24"), "acme", "203.0.113.0", True),
        (network("203.0.113.0/24"), "acme", "203.0.113.255", True),
        (network("203.0.113.0/24"), "acme", "203.0.114.0", False),
        (network("203.0.113.0/24"), "acme", "::ffff:203.0.113.7", True),
        (network("203.0.113.0/24"), "acme", "", False),
        (network("203.0.113.0/24"), "ip:203.0.113.7", "", False),
        (network("203.0.113.7/32"), "acme", "203.0.113.7", True),
        (network("0.0.0.0/0"), "acme", "203.0.113.7", True),
        (network("0.0.0.0/0"), "acme", "2001:db8::7", False),
        (network("2001:db8::/32"), "acme", "2001:db8:ffff::7", True),
        (network("2001:db8::7/128"), "acme", "2001:db8::8", False),
        (network("::/0"), "acme", "203.0.113.7", False),
        (network("::/0"), "acme", "no address", False),
    ],
)
def test_a_block_matches_checks(block: Block, key: str, address: str, matches: bool) -> None:
    assert (Blocks([block]).of([key], address) is block) is matches


def test_a_block_of_any_of_several_keys_matches() -> None:
    blocks = Blocks([Block("team"), Block(prefix="org-")])
    assert blocks.of(["acme", "team"]) == Block("team")
    assert blocks.of(["acme", "org-7"]) == Block(prefix="org-")
    assert blocks.of(["acme", "other"]) is None
    assert blocks.of([]) is None


def test_the_block_that_ends_last_is_found() -> None:
    soon, late, never = Block("acme", ends_at=5), Block(prefix="ac", ends_at=9), network("192.0.2.0/24")
    assert Blocks([soon, late, never]).of(["acme"], "192.0.2.7") == never
    assert Blocks([late, soon]).of(["acme"], "192.0.2.7") == late
    assert Blocks([never, replace(never, ends_at=5)]).of([], "192.0.2.7") == never
    assert Blocks([network("192.0.2.0/25", ends_at=9), network("192.0.0.0/16", ends_at=5)]).of([], "192.0.2.7") == (
        network("192.0.2.0/25", ends_at=9)
    )


SUBJECTS = st.one_of(
    st.text("ab", min_size=1, max_size=3).map(Block),
    st.text("ab", min_size=1, max_size=3).map(lambda prefix: Block(prefix=prefix)),
    st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
        lambda drawn: network(str(ipaddress.ip_network((f"192.0.2.{drawn[0]}", drawn[1]), strict=False)))
    ),
    st.tuples(st.integers(0, 15), st.integers(124, 128)).map(
        lambda drawn: network(str(ipaddress.ip_network((f"2001:db8::{drawn[0]:x}", drawn[1]), strict=False)))
    ),
)
ADDRESSES = st.one_of(
    st.just(""),
    st.integers(0, 255).map(lambda last: f"192.0.2.{last}"),
    st.integers(0, 15).map(lambda last: f"2001:db8::{last:x}"),
)


@given(
    st.lists(st.tuples(SUBJECTS, st.none() | st.integers(0, 5)), max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    ADDRESSES,
)
def test_the_block_found_is_that_of_the_definition(
    drawn: list[tuple[Block, int | None]], keys: list[str], address: str
) -> None:
    blocks = [replace(block, ends_at=ends_at) for block, ends_at in drawn]

    def matches(block: Block) -> bool:
        if block.network:
            return bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(block.network)
        return block.client in keys if block.client else any(key.startswith(block.prefix) for key in keys)

    found = Blocks(blocks).of(keys, address)
    matching = [block for block in blocks if matches(block)]
    assert (found in matching) if found else not matching
    assert found is None or found.until == max(block.until for block in matching)


def test_a_ruleset_comes_back_from_its_bytes() -> None:
    blocks = (network("2001:db8::/48"), Block(prefix="ä-", reason="abuse", ends_at=CHRISTMAS), Block("acme"))
    ruleset = Ruleset((Plan("free", "Free"),), "free", blocks=blocks)
    assert Ruleset.from_bytes(ruleset.to_bytes()) == ruleset
    content = json.loads(ruleset.to_bytes())
    assert content["format"] == 2
    assert content["blocks"][0] == {"network": "2001:db8::/48", "reason": "scraping"}


def test_a_ruleset_without_blocks_has_the_bytes_of_earlier_releases() -> None:
    content = json.loads(Ruleset((Plan("free", "Free"),), "free").to_bytes())
    assert content["format"] == 1
    assert "blocks" not in content


@pytest.mark.parametrize("item", [{"client": "acme", "reason": "x", "since": 1}, {"network": "192.0.2.7/24"}, "acme"])
def test_a_damaged_block_makes_a_ruleset_unreadable(item: object) -> None:
    content = json.loads(Ruleset(blocks=(Block("acme", reason="x"),)).to_bytes())
    content["blocks"] = [item]
    with pytest.raises(UnreadableRuleset):
        Ruleset.from_bytes(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        (" 203.0.113.0/255.255.255.0 ", "203.0.113.0/24"),
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
        ("2001:db8::7", "2001:db8::7/128"),
    ],
)
def test_a_network_has_one_form(text: str, canonical: str) -> None:
    assert str(parse_network(text)) == canonical


NO_NETWORK = "must be a network such as 203.0.113.0/24 or 2001:db8::/48."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("203.0.113.7/24", "has bits set after its prefix length: write 203.0.113.0/24."),
        ("2001:db8::1/64", "has bits set after its prefix length: write 2001:db8::/64."),
        ("::ffff:203.0.113.0/120", "must be written as IPv4: 203.0.113.0/24."),
        ("fe80::1%eth0", NO_NETWORK),
        ("203.0.113.0/33", NO_NETWORK),
        ("acme", NO_NETWORK),
        ("", NO_NETWORK),
    ],
)
def test_another_text_is_no_network(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_network(text)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            network("203.0.113.0/24", ends_at=CHRISTMAS),
            "block of addresses in 203.0.113.0/24 until 24 Dec 2026, 00:00 UTC (reason: scraping)",
        ),
        (Block("acme", reason="fraud"), "block of client acme with no end (reason: fraud)"),
        (
            Block(prefix="acme-", reason="fraud"),
            "block of clients whose key begins with “acme-” with no end (reason: fraud)",
        ),
    ],
)
def test_a_block_in_words(block: Block, words: str) -> None:
    assert described(block) == words


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (Block(reason="x"), "needs exactly one of client, prefix and network."),
        (Block("acme", "ac", reason="x"), "needs exactly one of client, prefix and network."),
        (Block("a\nb", reason="x"), "client: must not contain control characters."),
        (Block(prefix="a" * 257, reason="x"), "prefix: must have 1 to 256 characters."),
        (network("203.0.113.7/24"), "network: has bits set after its prefix length: write 203.0.113.0/24."),
        (network("203.0.113.7"), "network: must be written as 203.0.113.7/32."),
        (network("acme"), f"network: {NO_NETWORK}"),
        (Block("acme"), "reason: must not be empty."),
        (Block("acme", reason=" "), "reason: must not be empty."),
        (Block("acme", reason="a\nb"), "reason: must not contain control characters."),
        (Block("acme", reason="x" * 501), "reason: must have at most 500 characters."),
    ],
)
def test_a_wrong_block_is_refused_at_its_field(block: Block, problem: str) -> None:
    (message,) = map(str, ruleset_problems(Ruleset(blocks=(block,))))
    assert message.removeprefix("blocks.0").removeprefix(".").removeprefix(": ") == problem


@pytest.mark.parametrize(
    ("valid", "now", "expected"),
    [
        ((None, None), 4, (None, 5)),
        ((None, None), 5, (5, None)),
        ((1, 9), 4, (1, 5)),
        ((1, 4), 3, (1, 4)),
        ((1, 9), 5, (5, 9)),
        ((6, 9), 7, (6, 9)),
    ],
)
def test_limits_are_valid_on_one_side_of_the_end_of_a_block(
    valid: tuple[int | None, int | None], now: int, expected: tuple[int | None, int | None]
) -> None:
    divided = Selection((), *valid).divided_at(5, now)
    assert (divided.valid_from, divided.valid_until) == expected


def test_limits_of_a_check_without_a_block_are_not_divided() -> None:
    assert Selection((), 1, 9).divided_at(0, 4) == Selection((), 1, 9)
