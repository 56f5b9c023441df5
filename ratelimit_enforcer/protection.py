"""Checks one request to a view of a Django project, and returns a status."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from ratelimit_enforcer.client_identifier import AnyRequest
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES
from ratelimit_enforcer.domain.decision import Decision, is_in_range
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.domain.validation import cost_problem
from ratelimit_enforcer.engine import CheckRequest, RulesetMissing, get_engine
from ratelimit_enforcer.log_limiter import HOUR_SECONDS, RateLimitedLog
from ratelimit_enforcer.request_limit import Hold, Refund, RequestLimit, bare_request, limit_of

OK, FORBIDDEN, TOO_MANY_REQUESTS, UNAVAILABLE = 200, 403, 429, 503

STORE_RETRY_AFTER = 1
"""``Retry-After`` in seconds during an outage: a server notices that the store is available again within a
second or two."""

_without_ruleset = RateLimitedLog(logging.getLogger(__name__))
_counted_twice = RateLimitedLog(logging.getLogger(__name__), HOUR_SECONDS)


class Verdict(NamedTuple):
    """The result of a check. ``status`` is 200 (admitted), 403 (the client is blocked), 429 (a limit
    denies) or 503 (no decision was possible). ``decision`` None: no ruleset was loaded, or limiting is off."""

    status: int
    decision: Decision | None = None

    @property
    def retry_after(self) -> float | None:
        """Seconds until the request would be admitted, at least 1; None if waiting cannot help."""
        if self.status == UNAVAILABLE:
            return STORE_RETRY_AFTER
        wait = self.decision.retry_after if self.decision else None
        return None if wait is None else max(wait, 1.0)


def judge(
    request: AnyRequest,
    client: str,
    *,
    endpoint: str | None,
    cost: int | None,
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    reserves: bool = False,
    refund: Refund | None = None,
) -> Verdict:
    """Checks a request, and stores the decision on it, in ``request.rate_limit``.

    ``endpoint`` is a slug; None: found by method and path. ``cost`` None: the endpoint's cost. A cost of 0
    is admitted and consumes nothing; a cost above the maximum is denied. ``attributes`` are normalized. ``reserves``:
    the view may settle the cost. ``refund``: whether a request with this response costs nothing.

    Raises ``ImproperlyConfigured`` for a cost that is not a whole number of 0 or more. Admits everything if the
    setting ``ENABLED`` is off.
    """
    if cost is not None:
        _require_whole(cost)
    bare, limit = bare_request(request), limit_of(request)
    if not setting("ENABLED"):
        return Verdict(OK)
    # Not `path`, which includes the prefix under which the project is mounted (SCRIPT_NAME).
    path = bare.path_info or "/"
    reserve = Reserve(setting("RESERVATION_TTL")) if reserves or refund else None
    check = CheckRequest(client, endpoint, bare.method, path, cost, True, attributes, reserve=reserve)
    try:
        decision = _check(check, cost)
    except RulesetMissing as error:
        verdict = Verdict(OK if admits_without_rules(error, _without_ruleset) else UNAVAILABLE)
    else:
        verdict = Verdict(_status(decision), decision)
        _record(limit, decision)
        if decision.reservation is not None:
            limit.hold(bare, Hold(get_engine(), decision, reserves=reserves, refund=refund))
    if verdict.status != OK:
        limit.deny()
    return verdict


def _record(limit: RequestLimit, decision: Decision) -> None:
    if limit.decisions:
        _warn_of_second_count(limit.decisions, decision)
    limit.decisions.append(decision)


def _warn_of_second_count(before: list[Decision], decision: Decision) -> None:
    if any((each.client, each.endpoint) == (decision.client, decision.endpoint) for each in before):
        _counted_twice.warning(
            "A request to the endpoint %s was counted twice, because the view is limited twice: by two throttle "
            "classes, or by a throttle class and rate_limit. Remove one of them.",
            decision.endpoint,
        )


def _check(check: CheckRequest, cost: int | None) -> Decision:
    if cost is None or is_in_range(cost):
        return get_engine().check(check)
    return get_engine().check_cost_out_of_range(check._replace(reserve=None), cost)


def _status(decision: Decision) -> int:
    if decision.allowed:
        return OK
    match decision.reason:
        case Reason.BLOCKED:
            return FORBIDDEN
        case Reason.STORE_UNAVAILABLE:
            return UNAVAILABLE
        case _:
            return TOO_MANY_REQUESTS


def admits_without_rules(problem: Exception, log: RateLimitedLog) -> bool:
    """Whether ``WITHOUT_RULESET`` admits a request that no rules can be applied to; logged once per interval."""
    admits: bool = setting("WITHOUT_RULESET") == "allow"
    doing = "admitted" if admits else "answered with 503"
    log.warning("%s Requests are %s, according to RATELIMIT_PLATFORM['WITHOUT_RULESET'].", problem, doing)
    return admits


def require_cost(cost: Any) -> None:
    """Raises ``ImproperlyConfigured`` for a number in a project's code that is not a valid cost."""
    _require_whole(cost)
    if problem := cost_problem(cost):
        raise ImproperlyConfigured(f"The cost of a request is {cost!r}: {problem}")


def _require_whole(cost: Any) -> None:
    # `True` is an int in Python, but not a cost.
    if type(cost) is not int or cost < 0:
        raise ImproperlyConfigured(f"The cost of a request is {cost!r}: it must be a whole number, 0 or more.")


def decisions_on(request: AnyRequest) -> list[Decision]:
    """All decisions about this request so far."""
    limit = bare_request(request).__dict__.get("rate_limit")
    return limit.decisions if isinstance(limit, RequestLimit) else []
