"""Blocks in a config file."""

import pytest

from limits.configfile.apply import restore_rules
from limits.configfile.export import export
from limits.models import Block
from limits.publishing.rules import compile_ruleset
from ratelimit_enforcer.domain.blocks import Block as DomainBlock
from tests.configfile.files import empty_tables, everything, put, refusal
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

CHRISTMAS = "2126-12-24T00:00:00Z"
ACME = f"{{client: acme, reason: fraud, ends_at: {CHRISTMAS}}}"
PREFIX = '{prefix: "acme-", reason: fraud}'
NETWORK = "{network: 203.0.113.0/24, reason: scraping}"


def blocks(*items: str) -> str:
    return f"blocks: [{', '.join(items)}]"


def live(shop: Platform) -> list[str]:
    return list(map(str, shop.ruleset.blocks))


def test_blocks_are_live_without_a_write_for_any_client(shop: Platform) -> None:
    before = shop.client("acme")
    assert put(blocks(NETWORK, PREFIX, ACME)).changes == [
        "Block of addresses in 203.0.113.0/24 added (end: none; reason: scraping).",
        "Block of client acme added (end: 24 Dec 2126, 00:00 UTC; reason: fraud).",
        "Block of clients whose key begins with “acme-” added (end: none; reason: fraud).",
    ]
    assert shop.ruleset.blocks == (
        DomainBlock(network="203.0.113.0/24", reason="scraping"),
        DomainBlock(prefix="acme-", reason="fraud"),
        DomainBlock("acme", ends_at=4_953_744_000_000_000, reason="fraud"),
    )
    assert shop.client("acme") == before


def test_the_block_of_the_same_subject_is_changed(shop: Platform) -> None:
    put(blocks(NETWORK, PREFIX))
    row = Block.objects.get(prefix="")
    assert put(blocks(f"{{network: 203.0.113.0/255.255.255.0, reason: bots, ends_at: {CHRISTMAS}}}")).changes == [
        "Block of addresses in 203.0.113.0/24, end: none → 24 Dec 2126, 00:00 UTC.",
        "Block of addresses in 203.0.113.0/24, reason: scraping → bots.",
    ]
    assert Block.objects.get(prefix="") == row
    assert [record.history_type for record in row.history.all()] == ["~", "+"]
    assert len(shop.ruleset.blocks) == 2


def test_applying_blocks_again_changes_nothing_and_pruning_removes_the_others(shop: Platform) -> None:
    text = blocks(NETWORK, PREFIX)
    put(text)
    before = everything(shop)
    assert put(text, prune=True).changes == []
    assert everything(shop) == before
    put("plans: [{slug: pro}]", prune=False)
    assert len(shop.ruleset.blocks) == 2
    assert put(blocks(PREFIX), prune=True).changes == [
        "Block of addresses in 203.0.113.0/24 removed.",
    ]
    assert live(shop) == ["clients whose key begins with “acme-”"]


def test_a_file_without_the_section_prunes_no_block(shop: Platform) -> None:
    put(blocks(NETWORK))
    put("alert_rules: []", prune=True)
    assert live(shop) == ["addresses in 203.0.113.0/24"]


def test_a_dry_run_reports_and_changes_nothing(shop: Platform) -> None:
    before = everything(shop)
    assert put(blocks(NETWORK), dry_run=True).changes == [
        "Block of addresses in 203.0.113.0/24 added (end: none; reason: scraping)."
    ]
    assert everything(shop) == before


def test_an_export_brings_blocks_back(shop: Platform) -> None:
    put(blocks(ACME, PREFIX, NETWORK, "{network: 198.51.100.7, reason: x}"))
    before, text = compile_ruleset(), export()
    assert "- client: acme\n  reason: fraud\n  ends_at: '2126-12-24T00:00:00Z'\n" in text
    assert "- network: 198.51.100.7/32\n" in text
    empty_tables()
    put(text)
    assert compile_ruleset() == before
    assert export() == text


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("{reason: x}", "blocks[0]: needs exactly one of client, prefix and network."),
        ("{client: a, prefix: a, reason: x}", "blocks[0]: needs exactly one of client, prefix and network."),
        ("{client: acme}", "blocks[0].reason: is missing."),
        ("{client: acme, reason: ''}", "blocks[0].reason: must not be empty."),
        ('{client: "a\\nb", reason: x}', "blocks[0].client: must not contain control characters."),
        ('{prefix: "a\\nb", reason: x}', "blocks[0].prefix: must not contain control characters."),
        (
            "{network: 203.0.113.7/24, reason: x}",
            "blocks[0].network: has bits set after its prefix length: write 203.0.113.0/24.",
        ),
        (
            "{network: example.com, reason: x}",
            "blocks[0].network: must be a network such as 203.0.113.0/24 or 2001:db8::/48.",
        ),
        (
            "{client: acme, reason: x, ends_at: tomorrow}",
            "blocks[0].ends_at: must be a date and time with a time zone, such as 2026-12-01T00:00:00Z.",
        ),
        (
            "{client: acme, reason: x, until: 1}",
            "blocks[0].until: is unknown; allowed here: client, prefix, network, reason, ends_at.",
        ),
        ("{client: 7, reason: x}", "blocks[0].client: must be text (put it in quotes)."),
    ],
)
def test_a_wrong_block_is_refused_at_its_field(item: str, message: str) -> None:
    assert refusal(blocks(item)) == [message]


def test_two_blocks_of_one_subject_are_refused() -> None:
    text = blocks(NETWORK, PREFIX, "{network: 203.0.113.0/255.255.255.0, reason: bots}")
    assert refusal(text) == ["blocks[2]: is a duplicate of blocks[0]."]


def test_a_rollback_leaves_blocks_alone(shop: Platform) -> None:
    """Otherwise it could admit an abusive client that was blocked after the version."""
    put(blocks(NETWORK, ACME))
    earlier = compile_ruleset()
    put(blocks(PREFIX, "{network: 203.0.113.0/24, reason: other}"), prune=True)
    present = compile_ruleset().blocks
    restore_rules(earlier)
    assert compile_ruleset().blocks == present
