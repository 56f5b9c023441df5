"""What people edit: PostgreSQL rows. The store holds what is published of them."""

from limits.models.alerts import Alert, AlertRule, Message
from limits.models.clients import Client
from limits.models.endpoints import Endpoint, Route
from limits.models.imports import ClientImport
from limits.models.limits import PolicyLimit
from limits.models.outbox import ClientChange, RuleChange
from limits.models.overrides import Override, OverrideLimit
from limits.models.plans import Plan
from limits.models.platform import Platform
from limits.models.policies import Policy
from limits.models.progress import Progress, Work
from limits.models.publications import Publication
from limits.models.resets import CounterReset
from limits.models.tokens import ApiToken
from limits.models.usage import (
    PolicyDenial,
    PolicyDenialDay,
    PolicyDenialHour,
    QuotaCrossing,
    Usage,
    UsageDay,
    UsageHour,
    UsageParcel,
)

__all__ = [
    "Alert",
    "AlertRule",
    "ApiToken",
    "Client",
    "ClientChange",
    "ClientImport",
    "CounterReset",
    "Endpoint",
    "Message",
    "Override",
    "OverrideLimit",
    "Plan",
    "Platform",
    "Policy",
    "PolicyDenial",
    "PolicyDenialDay",
    "PolicyDenialHour",
    "PolicyLimit",
    "Progress",
    "Publication",
    "QuotaCrossing",
    "Route",
    "RuleChange",
    "Usage",
    "UsageDay",
    "UsageHour",
    "UsageParcel",
    "Work",
]
