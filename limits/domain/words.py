"""The closed vocabularies of the platform, as users spell them."""

from enum import StrEnum


class Algorithm(StrEnum):
    """How a limit counts."""

    SLIDING_WINDOW = "sliding_window"
    TOKEN_BUCKET = "token_bucket"
    FIXED_WINDOW = "fixed_window"
    CALENDAR = "calendar"


class Period(StrEnum):
    """The periods of a calendar limit. Weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Partition(StrEnum):
    """Whose requests a policy counts together."""

    CLIENT = "client"
    GLOBAL = "global"


class Mode(StrEnum):
    """What a policy does with a request that it would deny."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    DISABLED = "disabled"


class OnStoreFailure(StrEnum):
    """What a policy answers while the store is away."""

    LOCAL = "local"
    ALLOW = "allow"
    DENY = "deny"


class ClientStatus(StrEnum):
    """Blocked goes before exempt, exempt before limits."""

    ACTIVE = "active"
    EXEMPT = "exempt"
    BLOCKED = "blocked"


class Outcome(StrEnum):
    """How a request is counted."""

    ADMITTED = "admitted"
    DENIED = "denied"
    BLOCKED = "blocked"
    EXEMPT = "exempt"


class AlertMetric(StrEnum):
    """What an alert rule looks at."""

    THROTTLED = "throttled"
    THROTTLED_RATIO = "throttled_ratio"
    USAGE_RATIO = "usage_ratio"
    PLATFORM = "platform"


class Channel(StrEnum):
    """How a message reaches people or programs."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class MessageKind(StrEnum):
    """What a message is about."""

    OPENED = "opened"
    REMINDER = "reminder"
    RESOLVED = "resolved"
    DIGEST = "digest"
    TEST = "test"


class GroupBy(StrEnum):
    """What an alert rule tells apart."""

    CLIENT = "client"
    ENDPOINT = "endpoint"
    POLICY = "policy"


class Scope(StrEnum):
    """What an API token may do."""

    CHECK = "check"
    MANAGE = "manage"
    METRICS = "metrics"


class Reason(StrEnum):
    """Why a decision came out as it did."""

    LIMIT = "limit"
    COST_EXCEEDS_QUOTA = "cost_exceeds_quota"
    BLOCKED = "blocked"
    EXEMPT = "exempt"
    STORE_UNAVAILABLE = "store_unavailable"
