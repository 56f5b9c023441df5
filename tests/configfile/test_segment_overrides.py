"""Tags of clients, and overrides of segments, in a config file."""

import pytest

from limits.configfile.apply import restore_rules
from limits.configfile.export import export
from limits.models import Client, Policy, SegmentOverride
from limits.publishing.rules import compile_ruleset
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.segments import Segment
from tests.configfile.files import empty_tables, everything, put, refusal, refused
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

FRIDAY, MONDAY = "2126-11-27T00:00:00Z", "2126-11-30T00:00:00Z"


def override(clients: str, quota: int = 500, more: str = "", policy: str = "all") -> str:
    return f"{{clients: {{{clients}}}, policy: {policy}, limits: [{{quota: {quota}, window: 60}}]{more}}}"


def overrides(*items: str) -> str:
    return f"overrides: [{', '.join(items)}]"


SALE = override("tags: [wholesale, eu]", more=f", starts_at: {FRIDAY}, ends_at: {MONDAY}, reason: Black Friday")


def live(shop: Platform) -> list[tuple[Segment, int]]:
    return [(each.segment, each.limits[0].quota) for each in shop.ruleset.segment_overrides]


def test_an_override_of_a_segment_is_live_without_a_write_for_any_client(shop: Platform) -> None:
    before = shop.client("acme")
    assert put(overrides(SALE)).changes == [
        "Override of all for clients with the tags eu and wholesale added (limits: 500 per minute; dates: from 27 Nov "
        "2126, 00:00 UTC, until 30 Nov 2126, 00:00 UTC)."
    ]
    (found,) = shop.ruleset.segment_overrides
    assert (found.segment, found.policy, found.limits) == (Segment(tags=("eu", "wholesale")), "all", (Limit(500, 60),))
    assert shop.client("acme") == before
    assert SegmentOverride.objects.get().reason == "Black Friday"


def test_an_override_of_the_same_segment_policy_and_start_is_changed(shop: Platform) -> None:
    put(overrides(override("plan: free"), override('prefix: "acme-"')))
    first = SegmentOverride.objects.get(prefix="")
    put(overrides(override("plan: free", 7)))
    assert SegmentOverride.objects.get(prefix="") == first
    assert live(shop) == [(Segment(plan="free"), 7), (Segment(prefix="acme-"), 500)]


def test_applying_overrides_again_changes_nothing_and_pruning_removes_the_others(shop: Platform) -> None:
    text = overrides(SALE, override("plan: free"))
    put(text)
    before = everything(shop)
    assert put(text, prune=True).changes == []
    assert everything(shop) == before
    put(overrides(override("plan: free")), prune=True)
    assert live(shop) == [(Segment(plan="free"), 500)]


def test_an_export_brings_overrides_and_tags_back_in_their_order(shop: Platform) -> None:
    put(
        "clients: [{key: acme, tags: [wholesale, eu]}]\n"
        + overrides(override("tags: [wholesale]", 1), override("tags: [eu]", 2), SALE, override('prefix: "acme-"'))
    )
    before, text = compile_ruleset(), export()
    assert "  tags:\n  - eu\n  - wholesale\n" in text
    empty_tables()
    put(text)
    assert compile_ruleset() == before
    assert export() == text


def test_tags_of_a_client_are_live(shop: Platform) -> None:
    put("clients: [{key: acme, tags: [wholesale, eu]}]")
    assert shop.client("acme").tags == ("eu", "wholesale")
    put("clients: [{key: acme}]")
    assert (shop.client("acme").tags, Client.objects.get(key="acme").tags) == ((), [])


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ("", "overrides[0].clients: needs exactly one of prefix, tags and plan."),
        ("plan: free, tags: [a]", "overrides[0].clients: needs exactly one of prefix, tags and plan."),
        (
            "tags: [Wholesale]",
            "overrides[0].clients.tags: each tag must consist of lowercase letters, digits and hyphens, such as "
            "“free-search”.",
        ),
        ("tags: [a, a]", "overrides[0].clients.tags: must not contain a tag twice."),
        ('prefix: "a\\nb"', "overrides[0].clients.prefix: must not contain control characters."),
        ("tag: [a]", "overrides[0].clients.tag: is unknown; allowed here: tags, plan, prefix."),
    ],
)
def test_a_wrong_segment_is_refused_at_its_field(clients: str, message: str) -> None:
    assert refusal(overrides(override(clients))) == [message]


def test_a_client_and_a_segment_together_are_refused() -> None:
    text = overrides("{client: acme, clients: {plan: free}, policy: all, limits: [{quota: 1, window: 60}]}")
    assert refusal(text) == ["overrides[0].clients: cannot be combined with client."]


def test_two_overrides_of_one_segment_policy_and_start_are_refused() -> None:
    assert refusal(overrides(override("tags: [a, b]"), override("plan: x"), override("tags: [b, a]"))) == [
        "overrides[2]: is a duplicate of overrides[0]: the same clients, policy and start."
    ]


def test_names_that_do_not_exist_are_refused_at_their_place(shop: Platform) -> None:
    before = everything(shop)
    assert refused(overrides(override("tags: [a]"), override("plan: gone"), override("tags: [a]", policy="gone"))) == [
        "overrides[1].clients.plan: there is no plan “gone”.",
        "overrides[2].policy: there is no policy “gone”.",
    ]
    assert everything(shop) == before


def test_a_policy_that_counts_all_clients_together_cannot_be_overridden(shop: Platform) -> None:
    Policy.objects.update(partition="global")
    assert refused(overrides(override("tags: [a]"))) == [
        "overrides[0].policy: only a policy that counts each client separately can be overridden."
    ]


@pytest.mark.parametrize("tags", ["[Wholesale]", "[a, a]"])
def test_wrong_tags_of_a_client_are_refused(tags: str) -> None:
    (message,) = refusal(f"clients: [{{key: acme, tags: {tags}}}]")
    assert message.startswith("clients[0].tags: ")


def test_a_rollback_restores_overrides_with_reasons_and_in_their_order(shop: Platform) -> None:
    put(overrides(override("tags: [a]", 1, ", reason: First"), override("tags: [b]", 2)))
    earlier = compile_ruleset()
    put(overrides(override("tags: [b]", 3), override("plan: free")), prune=True)
    restore_rules(earlier)
    assert compile_ruleset() == earlier
    assert SegmentOverride.objects.get(tags=["a"]).reason == "First"
