"""What people edit: PostgreSQL rows. The store holds what is published of them."""

from limits.models.alerts import Alert, AlertMail, AlertRule
from limits.models.clients import Client
from limits.models.endpoints import Endpoint, Route
from limits.models.imports import ClientImport
from limits.models.limits import PolicyLimit
from limits.models.outbox import ClientChange, RuleChange
from limits.models.overrides import Override, OverrideLimit
from limits.models.plans import Plan
from limits.models.platform import Platform
from limits.models.policies import Policy
from limits.models.publications import Publication
from limits.models.resets import CounterReset
from limits.models.tokens import ApiToken
from limits.models.usage import PolicyDenial, Usage, UsageParcel

__all__ = [
    "Alert",
    "AlertMail",
    "AlertRule",
    "ApiToken",
    "Client",
    "ClientChange",
    "ClientImport",
    "CounterReset",
    "Endpoint",
    "Override",
    "OverrideLimit",
    "Plan",
    "Platform",
    "Policy",
    "PolicyDenial",
    "PolicyLimit",
    "Publication",
    "Route",
    "RuleChange",
    "Usage",
    "UsageParcel",
]
