"""One request to a view of a Django project: asked about, and answered with a status."""

import logging
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from limits.client_identifier import AnyRequest
from limits.conf import setting
from limits.domain.decision import Decision
from limits.domain.unusual_costs import is_usual
from limits.domain.validation import cost_problem
from limits.domain.words import Reason
from limits.enforcement import CheckRequest, RulesetMissing, get_engine
from limits.seldom import HOUR, SeldomLog

OK, FORBIDDEN, TOO_MANY_REQUESTS, UNAVAILABLE = 200, 403, 429, 503

STORE_RETRY_AFTER = 1
"""Seconds: a server finds a store that is back within a second or two."""

_DECISIONS = "_rate_limit_decisions"
"""Where the decisions lie on Django's request, for those who write the headers."""

_without_ruleset = SeldomLog(logging.getLogger(__name__))
_counted_twice = SeldomLog(logging.getLogger(__name__), HOUR)


class Verdict(NamedTuple):
    """What a request deserves: ``status`` is 200 (it may go on), 403 (the client is blocked), 429
    (a limit denies it) or 503 (nobody can decide). ``decision`` None: no ruleset was ever seen."""

    status: int
    decision: Decision | None = None

    @property
    def retry_after(self) -> float | None:
        """Seconds until the request would be admitted, at least 1; None where waiting cannot help."""
        if self.status == UNAVAILABLE:
            return STORE_RETRY_AFTER
        wait = self.decision.retry_after if self.decision else None
        return None if wait is None else max(wait, 1.0)


def judge(request: AnyRequest, client: str, *, endpoint: str | None, cost: int | None) -> Verdict:
    """Asks the platform about a request, and remembers the decision on it.

    ``endpoint`` is a slug; None: method and path decide. ``cost`` None: the endpoint's; 0 is admitted
    and consumes nothing, one above the most that a request may cost is denied. Raises
    ``ImproperlyConfigured`` for what is no cost. Admits everything where the setting ``ENABLED`` is
    off.
    """
    if cost is not None:
        _require_whole(cost)
    if not setting("ENABLED"):
        return Verdict(OK)
    bare = bare_request(request)
    # Not `path`, which begins with the prefix that the project is mounted under (SCRIPT_NAME).
    check = CheckRequest(client, endpoint, bare.method, bare.path_info or "/", cost, decoded=True)
    try:
        decision = _decided(check, cost)
    except RulesetMissing as error:
        return Verdict(OK if admits_without_rules(error, _without_ruleset) else UNAVAILABLE)
    decisions = decisions_on(bare)
    if decisions:
        _warn_of_second_count(decisions, decision)
    decisions.append(decision)
    return Verdict(_status(decision), decision)


def _warn_of_second_count(before: list[Decision], decision: Decision) -> None:
    if any((each.client, each.endpoint) == (decision.client, decision.endpoint) for each in before):
        _counted_twice.warning(
            "A request to the endpoint %s was counted twice, because its view is limited twice: by two throttle "
            "classes, or by a throttle class and rate_limit. Remove one of them.",
            decision.endpoint,
        )


def _decided(check: CheckRequest, cost: int | None) -> Decision:
    if cost is None or is_usual(cost):
        return get_engine().check(check)
    return get_engine().check_unusual_cost(check, cost)


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


def admits_without_rules(problem: Exception, log: SeldomLog) -> bool:
    """What ``WITHOUT_RULESET`` says of a request that no rules can be asked about; told once a minute."""
    admits: bool = setting("WITHOUT_RULESET") == "allow"
    doing = "admitted" if admits else "answered with 503"
    log.warning("%s Requests are %s, as RATELIMIT_PLATFORM['WITHOUT_RULESET'] says.", problem, doing)
    return admits


def require_cost(cost: Any) -> None:
    """Raises ``ImproperlyConfigured`` for a number in a project's code that no request can cost."""
    _require_whole(cost)
    if problem := cost_problem(cost):
        raise ImproperlyConfigured(f"The cost of a request is {cost!r}: {problem}")


def _require_whole(cost: Any) -> None:
    # `True` is an int to Python, and to nobody else.
    if type(cost) is not int or cost < 0:
        raise ImproperlyConfigured(f"The cost of a request is {cost!r}: must be a whole number, 0 or more.")


def decisions_on(request: AnyRequest) -> list[Decision]:
    """Every decision about this request so far."""
    decisions: list[Decision] = bare_request(request).__dict__.setdefault(_DECISIONS, [])
    return decisions


def bare_request(request: AnyRequest) -> HttpRequest:
    """Django's request, whoever wrapped it."""
    bare: HttpRequest = getattr(request, "_request", request)
    return bare
