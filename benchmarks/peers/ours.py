"""Our own throttles, called in the same way as the peers."""

from collections.abc import Callable
from typing import Any

from benchmarks.peers.subjects import Allow, Make, Renew
from benchmarks.requests import Prepared, configure, drf_request

NAMESPACE = "peers"


def policy_throttle(limits: int) -> Make:
    """``PolicyThrottle`` with this number of limits."""

    def make(url: str, quota: int) -> tuple[Allow, Renew]:
        from benchmarks.rules import ENDPOINTS, TIMEOUT, publish, ruleset

        namespace = f"{NAMESPACE}-{limits}-{quota}"
        configure(url, RATELIMIT_PLATFORM={"REDIS": url, "NAMESPACE": namespace, "CHECK_DEADLINE": TIMEOUT})
        publish(url, ruleset(quota), namespace)
        from ratelimit_enforcer.throttling import PolicyThrottle

        return _allow_and_renew(PolicyThrottle, f"/{ENDPOINTS[limits]}")

    return make


def atomic_throttle(url: str, quota: int) -> tuple[Allow, Renew]:
    """The drop-in replacement of the framework's throttle, with one script call."""
    from benchmarks.rules import TIMEOUT

    configure(url, RATELIMIT_PLATFORM={"REDIS": url, "NAMESPACE": NAMESPACE, "CHECK_DEADLINE": TIMEOUT})
    from ratelimit_enforcer.throttling import AtomicUserRateThrottle

    return _allow_and_renew(type("Throttle", (AtomicUserRateThrottle,), {"rate": f"{quota}/min"}), "/one")


def _allow_and_renew(throttle: Callable[[], Any], path: str) -> tuple[Allow, Renew]:
    request = Prepared(drf_request, path)
    view: Any = object()
    return lambda number: bool(throttle().allow_request(request(number), view)), request.renew


SUBJECTS: dict[str, Make] = {
    "policy-1": policy_throttle(1),
    "policy-3": policy_throttle(3),
    "atomic": atomic_throttle,
}
