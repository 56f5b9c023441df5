"""Turns decisions into HTTP responses."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.http import HttpResponse

from api.problems import CLIENT_BLOCKED, QUOTA_EXCEEDED, STORE_UNAVAILABLE, ProblemType, problem_rendered
from api.rendering import Rendered, json_rendered, json_response
from ratelimit_enforcer import protection
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import moment_of
from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm, Reason
from ratelimit_enforcer.domain.headers import LegacyHeaders, rate_limit_headers, retry_after_header, violated_policies
from ratelimit_enforcer.domain.reservations import MAX_OPEN
from ratelimit_enforcer.engine import ClientState

STORE_RETRY_AFTER = {"Retry-After": str(protection.STORE_RETRY_AFTER)}


def rendered_decision(decision: Decision, *, always_ok: bool = False) -> Rendered:
    """The response to a check: a problem document if it was denied, unless ``always_ok``."""
    headers = rate_limit_headers(decision, LegacyHeaders(setting("LEGACY_HEADERS")))
    if decision.allowed or always_ok:
        return json_rendered(decision_body(decision), headers=headers)
    kind, detail, members, more = denial_of(decision)
    return problem_rendered(kind, detail, members, headers=headers | more)


def decision_response(decision: Decision, *, always_ok: bool = False) -> HttpResponse:
    """The response to a check for Django (:func:`rendered_decision`)."""
    response = rendered_decision(decision, always_ok=always_ok).response()
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def batch_response(decisions: Sequence[Decision]) -> HttpResponse:
    """The response to a batch: the results in order, each with the status that a single check would have."""
    return json_response({"results": [_result(decision) for decision in decisions]})


def _result(decision: Decision) -> dict[str, Any]:
    status = 200 if decision.allowed else _explanation(decision)[0].status
    return {"status": status, **decision_body(decision)}


def usage_body(client_state: ClientState) -> dict[str, Any]:
    """The body of ``GET /v1/usage``: a client, and the state of each limit that counts it separately."""
    return {
        "client": client_state.record.key,
        "plan": client_state.decision.plan,
        "status": client_state.status,
        "degraded": client_state.decision.degraded,
        "ruleset": client_state.decision.ruleset,
        "limits": [
            {"endpoint": client_state.endpoints[state.policy], **_limit_body(state)}
            for state in client_state.decision.limits
        ],
    }


def decision_body(decision: Decision) -> dict[str, Any]:
    """The fields of a decision, in the order of the documentation."""
    leading = decision.leading
    return {
        "allowed": decision.allowed,
        "reason": decision.reason,
        "client": decision.client,
        "plan": decision.plan,
        "endpoint": decision.endpoint,
        "cost": decision.cost,
        "reservation": decision.reservation,
        "expires_at": None if decision.expires_at is None else rfc3339(decision.expires_at),
        "limit": leading.limit.capacity if leading else None,
        "remaining": leading.remaining if leading else None,
        "reset_after": leading.reset_after if leading else None,
        "next_capacity_after": leading.next_capacity_after if leading else None,
        "retry_after": decision.retry_after,
        "degraded": decision.degraded,
        "ruleset": decision.ruleset,
        "limits": [_limit_body(state) for state in decision.limits],
        **({} if decision.change is None else {"change": decision.change}),
    }


def rfc3339(microseconds: int) -> str:
    """A time as in RFC 3339, in UTC, such as ``2026-11-27T22:57:00.000000Z``, from microseconds since 1970."""
    return f"{moment_of(microseconds).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _limit_body(state: LimitState) -> dict[str, Any]:
    name, policy, mode, limit, _, allowed, remaining, reset_after, next_capacity_after, retry_after, *_ = state
    algorithm = limit.algorithm
    body = {
        "name": name,
        "policy": policy,
        "client": state.client,
        "algorithm": algorithm,
        "mode": mode,
        "quota": limit.quota,
        "window": limit.window,
        "burst": limit.capacity if algorithm is Algorithm.TOKEN_BUCKET else None,
        "allowed": allowed,
        "remaining": remaining,
        "reset_after": reset_after,
        "next_capacity_after": next_capacity_after,
        "retry_after": retry_after,
    }
    if algorithm is Algorithm.CALENDAR:
        body["granted"] = state.granted
    if state.over_quota is not None:
        body["over_quota"] = state.over_quota
    return body


class Denial(NamedTuple):
    """A denied check as the caller sees it: a problem document with ``members``, and ``headers`` besides those of
    every decision."""

    kind: ProblemType
    detail: str
    members: dict[str, Any]
    headers: dict[str, str]


def denial_of(decision: Decision) -> Denial:
    """What the caller of a denied check is told."""
    kind, detail = _explanation(decision)
    denial = Denial(kind, detail, decision_body(decision), {})
    if kind is QUOTA_EXCEEDED:
        denial.members["violated-policies"] = violated_policies(decision)
        denial.headers.update(retry_after_header(decision))
    elif kind is STORE_UNAVAILABLE:
        denial.headers.update(STORE_RETRY_AFTER)
    return denial


def _explanation(decision: Decision) -> tuple[ProblemType, str]:
    """The problem type of a denial, and the ``detail`` for this one."""
    match decision.reason:
        case Reason.BLOCKED:
            return CLIENT_BLOCKED, f"The client “{decision.client}” is blocked."
        case Reason.STORE_UNAVAILABLE:
            return STORE_UNAVAILABLE, "The request could not be decided because the store is unavailable."
        case Reason.COST_EXCEEDS_QUOTA:
            never = ", ".join(state.name for state in decision.denying if not state.can_ever_admit)
            return QUOTA_EXCEEDED, f"A cost of {decision.cost:,} is more than {never} can ever admit."
        case Reason.TOO_MANY_RESERVATIONS:
            return QUOTA_EXCEEDED, f"The client has {MAX_OPEN:,} unsettled reservations. Settle or delete some of them."
        case _:
            names = ", ".join(state.name for state in decision.denying)
            return QUOTA_EXCEEDED, f"Denied by {names}."
