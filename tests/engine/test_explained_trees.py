"""Explanations for a client below a parent: whose limit each is, and which ancestor decides."""

import pytest

from ratelimit_enforcer.domain.attributes import Match
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.enums import ClientStatus, Mode, Partition
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.engine.explanation import Explanation, explain
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.servers import Store

OWN = policy("own", per_hour(3), plan="free")
SHARED = policy("shared", per_hour(5), plan="pro")
ALL = policy("all", per_hour(7))
PRO = record("acme", 1, plan="pro")
TEAM = record("team", 2, parent="acme")
KEY = record("key", 3, parent="team")


def explained(store: Store, *records: ClientRecord, policies: tuple[Policy, ...] = (ALL, OWN, SHARED)) -> Explanation:
    store.publish(ruleset(*policies))
    store.load(*records)
    return explain(store.engine(), CheckRequest("key", "search"))


def reasons(explanation: Explanation) -> list[tuple[str, bool, str, list[str]]]:
    return [
        (each.policy.slug, each.applies, each.why, [state.name for state in each.limits])
        for each in explanation.policies
    ]


def test_policies_of_ancestors_are_named_with_their_client(store: Store) -> None:
    explanation = explained(store, PRO, TEAM, KEY)
    assert explanation.plan == "no plan"
    assert explanation.ancestors == (
        "The parent team has no plan, so it adds no limits.",
        "The ancestor acme is on plan pro.",
    )
    assert reasons(explanation) == [
        ("all", True, "It applies to every plan and all requests of a client.", ["all:3600s"]),
        ("own", False, "It applies to plan free; the client has a parent and no plan.", []),
        (
            "shared",
            True,
            "It applies to plan pro of the ancestor acme and all requests of acme and the clients below it.",
            ["shared:3600s~2"],
        ),
    ]


def test_the_same_policy_of_two_clients_is_listed_for_each(store: Store) -> None:
    parent = record("team", 2, plan="pro", overrides=(Override("shared", (per_hour(2),)),))
    explanation = explained(store, parent, record("key", 3, plan="pro", parent="team"), policies=(SHARED,))
    first, second = explanation.policies
    assert [[state.limit.quota for state in each.limits] for each in (first, second)] == [[5], [2]]
    assert [(each.level, each.limits[0].client) for each in (first, second)] == [(0, "key"), (1, "team")]
    assert first.why == "It applies to plan pro and all requests of a client."
    assert second.why == (
        "It applies to plan pro of the parent team and all requests of team and the clients below it. The limits come "
        "from the parent team's override with no end."
    )


def test_a_policy_that_counts_all_clients_together_is_listed_once(store: Store) -> None:
    together = policy("together", per_hour(9), plan="pro", partition=Partition.GLOBAL)
    below = record("key", 3, plan="pro", parent="acme")
    assert [each[:2] for each in reasons(explained(store, PRO, below, policies=(together,)))] == [("together", True)]
    (inherited,) = explained(store, PRO, TEAM, KEY, policies=(together,)).policies
    assert (inherited.level, len(inherited.limits)) == (2, 1)


def test_only_policies_of_the_plan_are_listed_for_an_ancestor(store: Store) -> None:
    team = record("team", 2, plan="free", parent="acme")
    listed = [(each.level, each.policy.slug) for each in explained(store, PRO, team, KEY).policies]
    assert listed == [(0, "all"), (1, "own"), (2, "shared")]


@pytest.mark.parametrize(
    ("status", "sentence", "answer"),
    [
        (
            ClientStatus.BLOCKED,
            "The ancestor acme is blocked.",
            "The client is blocked: the ancestor acme is blocked.",
        ),
        (ClientStatus.EXEMPT, "The ancestor acme is exempt, so its limits do not apply.", ""),
    ],
)
def test_a_blocked_or_exempt_ancestor_is_named(store: Store, status: ClientStatus, sentence: str, answer: str) -> None:
    explanation = explained(store, record("acme", 1, plan="pro", status=status), TEAM, KEY)
    assert explanation.ancestors[1] == sentence
    assert explanation.blocked_by == answer


def test_the_limits_of_an_exempt_ancestor_are_not_said_to_apply(store: Store) -> None:
    explanation = explained(store, record("acme", 1, plan="pro", status=ClientStatus.EXEMPT), TEAM, KEY)
    assert [each.policy.slug for each in explanation.policies if each.applies] == ["all"]
    assert "It applies to plan pro; the client has a parent and no plan." in [each[2] for each in reasons(explanation)]


def test_a_block_is_named_rather_than_a_blocked_ancestor(store: Store) -> None:
    store.publish(ruleset(SHARED, blocks=(Block("team", reason="fraud"),)))
    store.load(record("acme", 1, status=ClientStatus.BLOCKED), TEAM, KEY)
    answer = explain(store.engine(), CheckRequest("key", "search")).blocked_by
    assert answer == "The client is blocked: the block of client team with no end (reason: fraud)."


def test_a_blocked_client_below_a_blocked_parent_is_blocked_itself(store: Store) -> None:
    blocked = {"status": ClientStatus.BLOCKED}
    assert explained(store, record("acme", 1, **blocked), record("key", 3, parent="acme", **blocked)).blocked_by == ""


def test_missing_tags_are_those_of_the_client_whose_policy_it_is(store: Store) -> None:
    tagged = policy("tagged", per_hour(4), plan="pro", match=Match(client_tags=("vip", "west")))
    everyone = policy("everyone", per_hour(4), match=Match(client_tags=("west",)))
    acme = record("acme", 1, plan="pro", tags=("west",))
    explanation = explained(store, acme, TEAM, record("key", 3, parent="team"), policies=(everyone, tagged))
    assert [each[2] for each in reasons(explanation)] == [
        "It applies only if the client has the tag west.",
        "It applies only if the ancestor acme has the tag vip.",
    ]


def test_disabled_policies_of_an_ancestor_are_listed_as_such(store: Store) -> None:
    off = policy("off", per_hour(4), plan="pro", mode=Mode.DISABLED)
    assert reasons(explained(store, PRO, TEAM, KEY, policies=(off,))) == [("off", False, "The policy is disabled.", [])]
