"""The throttle classes for Django REST Framework: one import, and a view obeys.

REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["limits.throttling.PolicyThrottle"]}

The framework imports its throttle classes while it makes ``APIView``, so nothing here may import
``rest_framework.views``, nor a model.
"""

from limits.throttling.errors import CannotDecide, exception_of
from limits.throttling.policy import PolicyThrottle
from limits.throttling.problems import problem_fields
from limits.throttling.rates import (
    AtomicAnonRateThrottle,
    AtomicScopedRateThrottle,
    AtomicSimpleRateThrottle,
    AtomicUserRateThrottle,
)

__all__ = [
    "AtomicAnonRateThrottle",
    "AtomicScopedRateThrottle",
    "AtomicSimpleRateThrottle",
    "AtomicUserRateThrottle",
    "CannotDecide",
    "PolicyThrottle",
    "exception_of",
    "problem_fields",
]
