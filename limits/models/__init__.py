"""The rows that people edit, in PostgreSQL. The store has only the published part of them."""

from limits.models.alerts import Alert, AlertRule, Message
from limits.models.blocks import Block
from limits.models.change_sets import ChangeSet
from limits.models.channels import NotificationChannel
from limits.models.clients import Client, ClientImport, CounterReset, Override, OverrideLimit
from limits.models.grants import Grant, GrantTotal, GrantUse
from limits.models.identities import Identity
from limits.models.publishing import ClientChange, Platform, Publication, RuleChange
from limits.models.quotas import QuotaPeak, QuotaReading
from limits.models.reports import LateCount, RecordedClient, RecordedDefaultPlan
from limits.models.requests import CreatingRequest
from limits.models.rules import Endpoint, Plan, Policy, PolicyLimit, Route
from limits.models.segments import SegmentOverride, SegmentOverrideLimit
from limits.models.settlements import Settlement, SettlementDay, SettlementHour, SettlementTotal
from limits.models.simulations import SimulatedClient, Simulation
from limits.models.tokens import ApiToken
from limits.models.usage import (
    PolicyDenial,
    PolicyDenialDay,
    PolicyDenialHour,
    PolicyUsage,
    PolicyUsageDay,
    PolicyUsageHour,
    Progress,
    QuotaThreshold,
    Usage,
    UsageDay,
    UsageHour,
    UsageParcel,
    Work,
)

__all__ = [
    "Alert",
    "AlertRule",
    "ApiToken",
    "Block",
    "ChangeSet",
    "Client",
    "ClientChange",
    "ClientImport",
    "CounterReset",
    "CreatingRequest",
    "Endpoint",
    "Grant",
    "GrantTotal",
    "GrantUse",
    "Identity",
    "LateCount",
    "Message",
    "NotificationChannel",
    "Override",
    "OverrideLimit",
    "Plan",
    "Platform",
    "Policy",
    "PolicyDenial",
    "PolicyDenialDay",
    "PolicyDenialHour",
    "PolicyLimit",
    "PolicyUsage",
    "PolicyUsageDay",
    "PolicyUsageHour",
    "Progress",
    "Publication",
    "QuotaPeak",
    "QuotaReading",
    "QuotaThreshold",
    "RecordedClient",
    "RecordedDefaultPlan",
    "Route",
    "RuleChange",
    "SegmentOverride",
    "SegmentOverrideLimit",
    "Settlement",
    "SettlementDay",
    "SettlementHour",
    "SettlementTotal",
    "SimulatedClient",
    "Simulation",
    "Usage",
    "UsageDay",
    "UsageHour",
    "UsageParcel",
    "Work",
]
