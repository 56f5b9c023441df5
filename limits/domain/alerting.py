"""Alert rules: when a person is told, and what about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limits.domain.counting import MARKS
from limits.domain.words import AlertMetric, GroupBy

MINUTE = 60
MAX_WINDOW = 86_400
MAX_COOLDOWN = 30 * 86_400
MAX_THRESHOLD = 10**12

USAGE_MARKS = tuple(mark / 100 for mark in MARKS)
"""The parts of a quota whose crossing is counted."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Tell ``emails`` and ``webhooks`` when ``metric`` reaches ``threshold`` within ``window`` seconds,
    for each ``group_by`` (None: all together), at most once in ``cooldown`` seconds for the same group.
    ``client``, ``plan``, ``endpoint`` and ``policy`` narrow down what is looked at (None: everything).
    A ratio of fewer than ``min_requests`` says nothing. ``notify_resolved``: tell also when it is over."""

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
    webhooks: tuple[str, ...] = ()
    min_requests: int = 1
    notify_resolved: bool = False


def alert_rule_problems(rule: AlertRule) -> Iterator[tuple[str, str]]:
    """Yields (field, what is wrong with it)."""
    if message := _threshold_problem(rule):
        yield "threshold", message
    if not MINUTE <= rule.window <= MAX_WINDOW or rule.window % MINUTE:
        yield "window", f"must be whole minutes in seconds, from {MINUTE} to {MAX_WINDOW:,}."
    if not 0 <= rule.cooldown <= MAX_COOLDOWN:
        yield "cooldown", f"must be between 0 and {MAX_COOLDOWN:,} seconds."
    if not 1 <= rule.min_requests <= MAX_THRESHOLD:
        yield "min_requests", f"must be a whole number from 1 to {MAX_THRESHOLD:,}."
    if not rule.emails and not rule.webhooks:
        yield "emails", "must hold at least one address, unless there is a webhook."
    yield from _platform_problems(rule)


def _threshold_problem(rule: AlertRule) -> str | None:
    is_right, message = _THRESHOLDS[rule.metric]
    return None if is_right(rule.threshold) else message


_THRESHOLDS: dict[AlertMetric, tuple[Callable[[float], bool], str]] = {
    AlertMetric.THROTTLED: (
        lambda threshold: 1 <= threshold <= MAX_THRESHOLD and threshold == int(threshold),
        f"must be a whole number of requests, from 1 to {MAX_THRESHOLD:,}.",
    ),
    AlertMetric.THROTTLED_RATIO: (
        lambda threshold: 0 < threshold <= 1,
        "must be a part of all requests, above 0 and at most 1, such as 0.2.",
    ),
    AlertMetric.USAGE_RATIO: (
        lambda threshold: threshold in USAGE_MARKS,
        "must be 0.5, 0.8, 0.9 or 1, the parts of a quota whose crossing is counted.",
    ),
    AlertMetric.PLATFORM: (
        lambda threshold: threshold == 1,
        "must be 1: a problem of the platform is there or it is not.",
    ),
}


def _platform_problems(rule: AlertRule) -> Iterator[tuple[str, str]]:
    """A problem of the platform concerns everybody, and each is an alert of its own."""
    if rule.metric is AlertMetric.PLATFORM:
        for field in ("client", "plan", "endpoint", "policy", "group_by"):
            if getattr(rule, field) is not None:
                yield field, "must be empty for the platform's own problems."


def alert_rule_sentence(rule: AlertRule) -> str:
    """“50 requests denied in 1 minute, for each client, on endpoint search”"""
    parts = [_condition(rule)]
    if rule.group_by is not None:
        parts.append(f"for each {rule.group_by}")
    for preposition, word in (("of", "client"), ("of", "plan"), ("on", "endpoint"), ("by", "policy")):
        if (chosen := getattr(rule, word)) is not None:
            parts.append(f"{preposition} {word} {chosen}")
    return ", ".join(parts)


def _condition(rule: AlertRule) -> str:
    window = span_in_words(rule.window)
    match rule.metric:
        case AlertMetric.THROTTLED_RATIO:
            least = f" of at least {rule.min_requests:,} requests" if rule.min_requests > 1 else " of all requests"
            return f"{in_percent(rule.threshold)}{least} denied in {window}"
        case AlertMetric.USAGE_RATIO:
            return f"{in_percent(rule.threshold)} of a quota reached in {window}"
        case AlertMetric.PLATFORM:
            return "a problem of the platform itself"
    return f"{rule.threshold:,.0f} requests denied in {window}"


def span_in_words(seconds: int) -> str:
    """“1 minute”, “5 minutes”"""
    minutes = seconds // MINUTE
    return f"{minutes:,} minute{'' if minutes == 1 else 's'}"


def in_percent(ratio: float) -> str:
    """“80 %”, “12.5 %”"""
    return f"{round(ratio * 100, 2):g} %"
