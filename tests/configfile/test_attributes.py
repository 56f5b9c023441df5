"""Partitions and conditions of policies in a config file."""

import pytest

from limits.configfile.export import export
from limits.publishing.rules import compile_ruleset
from ratelimit_enforcer.domain.attributes import Match
from ratelimit_enforcer.domain.enums import Partition
from tests.configfile.files import LIMITS, empty_tables, everything, put, refusal
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def policy(fields: str, slug: str = "models") -> str:
    return f"{{slug: {slug}, {LIMITS}, {fields}}}"


def policies(*items: str) -> str:
    return f"policies: [{', '.join(items)}]"


@pytest.mark.parametrize(
    ("partition", "expected"),
    [
        ("client", (Partition.CLIENT, ())),
        ("global", (Partition.GLOBAL, ())),
        ("[client]", (Partition.CLIENT, ())),
        ("[client, model]", (Partition.CLIENT, ("model",))),
        ("[ip, model]", (Partition.GLOBAL, ("ip", "model"))),
    ],
)
def test_a_partition_is_live(shop: Platform, partition: str, expected: tuple[Partition, tuple[str, ...]]) -> None:
    put(policies(policy(f"partition: {partition}")))
    live = next(each for each in shop.ruleset.policies if each.slug == "models")
    assert (live.partition, live.attributes) == expected


def test_conditions_are_live_and_can_be_removed(shop: Platform) -> None:
    text = policies(policy('match: {model: ["gpt-*", ""], client_tags: [vip]}'))
    (added,) = put(text).changes
    assert added.endswith("conditions: model is “gpt-*” or missing; the client has the tag vip).")
    live = next(each for each in shop.ruleset.policies if each.slug == "models")
    assert live.match == Match((("model", ("gpt-*", "")),), ("vip",))
    assert put(text).changes == []
    assert put(policies(f"{{slug: models, {LIMITS}}}")).changes == [
        "Policy models, conditions: model is “gpt-*” or missing; the client has the tag vip → none."
    ]


def test_an_export_brings_partitions_and_conditions_back(shop: Platform) -> None:
    put(
        policies(
            policy("partition: [client, model]"),
            policy('partition: [ip], match: {region: [eu], model: ["a*"]}', "addresses"),
        )
    )
    before, text = compile_ruleset(), export()
    empty_tables()
    put(text)
    assert compile_ruleset() == before
    assert export() == text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("partition: []", "partition: must not be an empty list; use global to count all clients together."),
        ("partition: [ip, ip]", "partition: must not name anything twice."),
        ("partition: [IP]", "partition: “IP” must be 1 to 64 lowercase letters, digits and hyphens."),
        ("partition: tenant", "partition: must be client, global, or a list of client and attributes."),
        ("match: {model: gpt-x}", "match.model: must be a list."),
        ("match: {model: []}", "match.model: must have 1 to 100 patterns."),
        ("match: {client: [a]}", "match.client: is the client, and not an attribute."),
        (
            "match: {client_tags: [VIP]}",
            "match.client_tags: each tag must consist of lowercase letters, digits and hyphens, such as “free-search”.",
        ),
    ],
)
def test_wrong_fields_are_rejected_at_their_place(shop: Platform, fields: str, message: str) -> None:
    before = everything(shop)
    assert refusal(policies(policy(fields))) == [f"policies[0].{message}"]
    assert everything(shop) == before
