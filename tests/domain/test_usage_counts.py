"""The counts that a decided request adds."""

from ratelimit_enforcer.domain.decision import Decision, states_of
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.sliding_window import NEVER
from ratelimit_enforcer.domain.usage import Count, counts_of
from tests.support.deciding import policy


def test_quota_thresholds_are_counted_for_quotas_over_time_and_not_for_concurrency() -> None:
    rules = [policy("quota", Limit(1, 60)), policy("slow", Limit(1, 60, Algorithm.CONCURRENCY))]
    limits = states_of(rules, 1, [(True, 0, NEVER, 0, 0)] * 2, consumes=True, subjects=("acme",))
    admitted = Decision(True, None, "acme", "free", "search", 1, 7, limits)

    assert list(counts_of(admitted)) == [
        Count("a", "", 1),
        *(Count(threshold, "quota", 1) for threshold in ("50", "80", "90", "100")),
    ]
