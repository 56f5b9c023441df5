"""Alert rules: conditions, their validation, and their description in words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limits.domain.descriptions import quantity
from ratelimit_enforcer.domain.enums import AlertMetric, GroupBy
from ratelimit_enforcer.domain.usage import THRESHOLDS

SECONDS_PER_MINUTE = 60
MAX_WINDOW = 86_400
MAX_COOLDOWN = 30 * 86_400
MAX_THRESHOLD = 10**12

USAGE_THRESHOLDS = tuple(mark / 100 for mark in THRESHOLDS)
"""The fractions of a quota that are counted when a client reaches them."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Notify ``emails``, ``webhooks`` and ``channels`` (slugs) when ``metric`` reaches ``threshold`` within ``window``
    seconds, for each ``group_by`` (None: all requests together), at most once in ``cooldown`` seconds for the same
    group. ``client``, ``plan``, ``endpoint`` and ``policy`` restrict the requests (None: all). A ratio over fewer than
    ``min_requests`` requests does not fire. ``notify_resolved``: also notify when the alert resolves."""

    name: str
    metric: AlertMetric
    threshold: float
    window: int = SECONDS_PER_MINUTE
    client: str | None = None
    plan: str | None = None
    endpoint: str | None = None
    policy: str | None = None
    group_by: GroupBy | None = None
    cooldown: int = 600
    emails: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    min_requests: int = 1
    notify_resolved: bool = False


def alert_rule_problems(rule: AlertRule) -> Iterator[tuple[str, str]]:
    """Yields (field, what is wrong) for everything invalid in the rule."""
    if message := _threshold_problem(rule):
        yield "threshold", message
    if not SECONDS_PER_MINUTE <= rule.window <= MAX_WINDOW or rule.window % SECONDS_PER_MINUTE:
        yield (
            "window",
            f"must be a multiple of 60 seconds, from {SECONDS_PER_MINUTE} to {MAX_WINDOW:,}.",
        )
    if not 0 <= rule.cooldown <= MAX_COOLDOWN:
        yield "cooldown", f"must be between 0 and {MAX_COOLDOWN:,} seconds."
    if not 1 <= rule.min_requests <= MAX_THRESHOLD:
        yield "min_requests", f"must be a whole number from 1 to {MAX_THRESHOLD:,}."
    if not rule.emails and not rule.webhooks and not rule.channels:
        yield "emails", "must contain at least one address, unless there is a webhook or a channel."
    yield from _problems_of_metric(rule)


def _threshold_problem(rule: AlertRule) -> str | None:
    is_right, message = _THRESHOLDS[rule.metric]
    return None if is_right(rule.threshold) else message


def _is_number(threshold: float) -> bool:
    return 1 <= threshold <= MAX_THRESHOLD and threshold == int(threshold)


_THRESHOLDS: dict[AlertMetric, tuple[Callable[[float], bool], str]] = {
    AlertMetric.THROTTLED: (
        _is_number,
        f"must be a whole number of requests, from 1 to {MAX_THRESHOLD:,}.",
    ),
    AlertMetric.THROTTLED_RATIO: (
        lambda threshold: 0 < threshold <= 1,
        "must be a ratio above 0 and at most 1, such as 0.2.",
    ),
    AlertMetric.USAGE_RATIO: (
        lambda threshold: threshold in USAGE_THRESHOLDS,
        "must be 0.5, 0.8, 0.9 or 1.",
    ),
    AlertMetric.OVERDRAWN: (
        _is_number,
        f"must be a whole number of units of cost, from 1 to {MAX_THRESHOLD:,}.",
    ),
    AlertMetric.OVER_QUOTA: (
        _is_number,
        f"must be a whole number of units of cost, from 1 to {MAX_THRESHOLD:,}.",
    ),
    AlertMetric.PLATFORM: (
        lambda threshold: threshold == 1,
        "must be 1 for platform problems.",
    ),
}


def _problems_of_metric(rule: AlertRule) -> Iterator[tuple[str, str]]:
    """A platform problem is not specific to clients or endpoints, and each problem is a separate alert."""
    if rule.metric is AlertMetric.PLATFORM:
        for field in ("client", "plan", "endpoint", "policy", "group_by"):
            if getattr(rule, field) is not None:
                yield field, "must be empty for platform problems."
    if rule.metric is AlertMetric.OVERDRAWN:
        if rule.policy is not None:
            yield "policy", "must be empty: overdrawn cost is not counted by policy."
        if rule.group_by is GroupBy.POLICY:
            yield "group_by", "must be client, endpoint or none: overdrawn cost is not counted by policy."


def alert_rule_sentence(rule: AlertRule) -> str:
    """Returns the condition in words: “50 requests denied in 1 minute, for each client, on endpoint search”."""
    parts = [_condition(rule)]
    if rule.group_by is not None:
        parts.append(f"for each {rule.group_by}")
    for preposition, field in (("of", "client"), ("of", "plan"), ("on", "endpoint"), ("by", "policy")):
        if (chosen := getattr(rule, field)) is not None:
            parts.append(f"{preposition} {field} {chosen}")
    return ", ".join(parts)


def _condition(rule: AlertRule) -> str:
    window = format_minutes(rule.window)
    match rule.metric:
        case AlertMetric.THROTTLED_RATIO:
            least = f" of at least {rule.min_requests:,} requests" if rule.min_requests > 1 else " of all requests"
            return f"{format_percent(rule.threshold)}{least} denied in {window}"
        case AlertMetric.USAGE_RATIO:
            return f"{format_percent(rule.threshold)} of a quota reached in {window}"
        case AlertMetric.OVERDRAWN:
            return f"{units_of_cost(rule.threshold)} overdrawn in {window}"
        case AlertMetric.OVER_QUOTA:
            return f"{units_of_cost(rule.threshold)} over quota in {window}"
        case AlertMetric.PLATFORM:
            return "a platform problem"
    return f"{quantity(rule.threshold, 'request')} denied in {window}"


def units_of_cost(cost: float) -> str:
    """Returns a cost in words, such as “1 unit of cost” or “2,000 units of cost”."""
    return f"{quantity(cost, 'unit')} of cost"


def format_minutes(seconds: int) -> str:
    """Returns whole minutes in words, such as “1 minute” or “5 minutes”."""
    minutes = seconds // SECONDS_PER_MINUTE
    return quantity(minutes, "minute")


def format_percent(ratio: float) -> str:
    """Returns a ratio of 0 to 1 as a percentage with at most two decimals, such as “80 %” or “12.5 %”."""
    return f"{round(ratio * 100, 2):g} %"
