"""Alert rules: when a person is told, and what about."""

from collections.abc import Iterator
from dataclasses import dataclass

from limits.domain.words import AlertMetric, GroupBy

MINUTE = 60
MAX_WINDOW = 86_400
MAX_COOLDOWN = 30 * 86_400
MAX_THRESHOLD = 10**12

AVAILABLE_METRICS = frozenset({AlertMetric.THROTTLED})


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Tell ``emails`` when ``metric`` reaches ``threshold`` within ``window`` seconds, for each
    ``group_by`` (None: all together), at most once in ``cooldown`` seconds for the same group.
    The other fields narrow down what is looked at (None: everything)."""

    name: str
    metric: AlertMetric
    threshold: float
    window: int = MINUTE
    client: str | None = None
    plan: str | None = None
    endpoint: str | None = None
    policy: str | None = None
    group_by: GroupBy | None = None
    cooldown: int = 600
    emails: tuple[str, ...] = ()


def alert_rule_problems(rule: AlertRule) -> Iterator[tuple[str, str]]:
    """Yields (field, what is wrong with it)."""
    if rule.metric not in AVAILABLE_METRICS:
        yield "metric", f"“{rule.metric}” is not available in this release."
    if not 1 <= rule.threshold <= MAX_THRESHOLD or rule.threshold != int(rule.threshold):
        yield "threshold", f"must be a whole number of requests, from 1 to {MAX_THRESHOLD:,}."
    if not MINUTE <= rule.window <= MAX_WINDOW or rule.window % MINUTE:
        yield "window", f"must be whole minutes in seconds, from {MINUTE} to {MAX_WINDOW:,}."
    if not 0 <= rule.cooldown <= MAX_COOLDOWN:
        yield "cooldown", f"must be between 0 and {MAX_COOLDOWN:,} seconds."
    if not rule.emails:
        yield "emails", "must hold at least one address."


def alert_rule_sentence(rule: AlertRule) -> str:
    """“50 requests denied in 1 minute, for each client, on endpoint search”."""
    minutes = rule.window // MINUTE
    parts = [f"{rule.threshold:,.0f} requests denied in {minutes} minute{'' if minutes == 1 else 's'}"]
    if rule.group_by is not None:
        parts.append(f"for each {rule.group_by}")
    for preposition, word in (("of", "client"), ("of", "plan"), ("on", "endpoint"), ("by", "policy")):
        if (chosen := getattr(rule, word)) is not None:
            parts.append(f"{preposition} {word} {chosen}")
    return ", ".join(parts)
