"""The letters under which usage is counted: the drain knows what was counted from the letter."""

from ratelimit_enforcer.domain.usage import THRESHOLDS, PolicyKind, RequestKind, SettlementKind


def test_the_letters_of_settlements_stand_for_nothing_else() -> None:
    requests = [*RequestKind, *(kind.upper() for kind in RequestKind)]
    others = {*requests, *PolicyKind, *map(str, THRESHOLDS)}
    assert len({*SettlementKind}) == 6
    assert not others & {*SettlementKind}


def test_counts_of_settlements_are_never_negative() -> None:
    """Only counts in upper case may be."""
    assert all(kind.islower() for kind in SettlementKind)
