"""One check, one decision: everything between a caller and the store."""

from limits.enforcement.attempts import Guard
from limits.enforcement.engine import Engine, Readiness, Standing, get_engine
from limits.enforcement.held import Held
from limits.enforcement.holder import RulesetMissing
from limits.enforcement.requests import CheckRequest
from limits.store.errors import StoreDataError, StoreError, StoreUnavailable

__all__ = [
    "CheckRequest",
    "Engine",
    "Guard",
    "Held",
    "Readiness",
    "RulesetMissing",
    "Standing",
    "StoreDataError",
    "StoreError",
    "StoreUnavailable",
    "get_engine",
]
