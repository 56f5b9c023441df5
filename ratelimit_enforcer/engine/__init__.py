"""From one check to one decision: everything between a caller and the store."""

from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.engine.attempts import Guard
from ratelimit_enforcer.engine.engine import Engine
from ratelimit_enforcer.engine.factory import get_engine
from ratelimit_enforcer.engine.prepared_ruleset import PreparedRuleset
from ratelimit_enforcer.engine.ruleset_cache import RulesetMissing
from ratelimit_enforcer.engine.states import ClientState, Readiness
from ratelimit_enforcer.store.errors import StoreDataError, StoreError, StoreUnavailable

__all__ = [
    "CheckRequest",
    "ClientState",
    "Engine",
    "Guard",
    "PreparedRuleset",
    "Readiness",
    "RulesetMissing",
    "StoreDataError",
    "StoreError",
    "StoreUnavailable",
    "get_engine",
]
