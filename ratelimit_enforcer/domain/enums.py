"""The enumerations of the platform, spelled as users write them."""

from enum import StrEnum


class Algorithm(StrEnum):
    """The algorithm by which a limit counts."""

    SLIDING_WINDOW = "sliding_window"
    TOKEN_BUCKET = "token_bucket"
    FIXED_WINDOW = "fixed_window"
    CALENDAR = "calendar"
    CONCURRENCY = "concurrency"


class Period(StrEnum):
    """The periods of a calendar limit. Weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Partition(StrEnum):
    """Whether a policy has one counter for each client, or one for all clients together."""

    CLIENT = "client"
    GLOBAL = "global"


class Mode(StrEnum):
    """The effect of a policy on requests over a limit; a disabled policy is not evaluated."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    DISABLED = "disabled"


class OnStoreFailure(StrEnum):
    """The answer of a policy while the store is unavailable."""

    LOCAL = "local"
    ALLOW = "allow"
    DENY = "deny"


class OverQuota(StrEnum):
    """What the calendar limits of a policy do with requests beyond the quota."""

    DENY = "deny"
    COUNT = "count"
    """Admit them, and count the units beyond the quota."""


class ClientStatus(StrEnum):
    """The status of a client. Blocked takes precedence over exempt, and exempt over limits."""

    ACTIVE = "active"
    EXEMPT = "exempt"
    BLOCKED = "blocked"


class Outcome(StrEnum):
    """The outcome of a request, by which usage is counted."""

    ADMITTED = "admitted"
    DENIED = "denied"
    BLOCKED = "blocked"
    EXEMPT = "exempt"


class AlertMetric(StrEnum):
    """The figure that an alert rule watches."""

    THROTTLED = "throttled"
    THROTTLED_RATIO = "throttled_ratio"
    USAGE_RATIO = "usage_ratio"
    OVERDRAWN = "overdrawn"
    OVER_QUOTA = "over_quota"
    PLATFORM = "platform"


class Channel(StrEnum):
    """The channel through which a message is delivered."""

    MAIL = "mail"
    WEBHOOK = "webhook"
    SERVICE = "service"
    """A service such as Slack; the destination is the slug of a notification channel."""


class MessageKind(StrEnum):
    """The event that a message reports."""

    OPENED = "opened"
    REMINDER = "reminder"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    DIGEST = "digest"
    TEST = "test"
    REQUESTED = "requested"
    """A change set awaits approval; the following are for its author."""
    APPROVED = "approved"
    SENT_BACK = "sent_back"
    CONFLICT = "conflict"
    WITHDRAWN = "withdrawn"


class GroupBy(StrEnum):
    """The dimension by which an alert rule is evaluated separately."""

    CLIENT = "client"
    ENDPOINT = "endpoint"
    POLICY = "policy"


class Scope(StrEnum):
    """A permission of an API token."""

    CHECK = "check"
    ADJUST = "adjust"
    CLIENTS = "clients"
    RULES = "rules"
    PUBLISH = "publish"
    REPORTS = "reports"
    METRICS = "metrics"


class Reason(StrEnum):
    """The reason why a request was denied, or was admitted without evaluating the limits."""

    LIMIT = "limit"
    COST_EXCEEDS_QUOTA = "cost_exceeds_quota"
    BLOCKED = "blocked"
    EXEMPT = "exempt"
    STORE_UNAVAILABLE = "store_unavailable"
    TOO_MANY_RESERVATIONS = "too_many_reservations"
