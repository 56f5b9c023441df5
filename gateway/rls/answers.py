"""Turns decisions into the answers of Envoy's rate limit service, without I/O."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

import orjson

from api.decisions import denial_of
from api.problems import problem_document
from gateway.proto.header_value_pb2 import HeaderValue
from gateway.proto.rls_pb2 import RateLimitResponse
from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Period
from ratelimit_enforcer.domain.headers import (
    LIMIT_FIELD,
    POLICY_FIELD,
    PROBLEM_JSON,
    LegacyHeaders,
    admitting_item,
    closest_to_denying,
    policy_item,
    rate_limit_headers,
)
from ratelimit_enforcer.domain.limit import SECOND_US, Limit

Status = RateLimitResponse.DescriptorStatus
Unit = RateLimitResponse.RateLimit

OK, OVER_LIMIT = RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT

MAX_UINT32 = 2**32 - 1
TOO_MANY_REQUESTS = 429
"""The status of the response that Envoy sends for OVER_LIMIT, unless it is configured otherwise."""

_UNITS_OF_WINDOWS = {
    1: Unit.SECOND,
    60: Unit.MINUTE,
    3_600: Unit.HOUR,
    86_400: Unit.DAY,
    604_800: Unit.WEEK,
}
_UNITS_OF_PERIODS = {
    Period.HOUR: Unit.HOUR,
    Period.DAY: Unit.DAY,
    Period.WEEK: Unit.WEEK,
    Period.MONTH: Unit.MONTH,
    Period.YEAR: Unit.YEAR,
}


class Answers:
    """Answers with the headers that the settings select."""

    def __init__(self, legacy: LegacyHeaders = LegacyHeaders.OFF, *, exposes: bool = False) -> None:
        """``exposes``: browsers may read the headers on pages of other origins."""
        self._legacy = legacy
        self._exposes = exposes
        self._is_brief = legacy is LegacyHeaders.OFF and not exposes

    def answer(self, results: Sequence[Decision | None]) -> bytes:
        """The message for these results, one for each descriptor, in order. None: nothing limits the descriptor, or
        it was charged or refunded."""
        first = results[0] if len(results) == 1 and self._is_brief else None
        if first is not None and first.allowed and not first.degraded and (brief := _brief(first)) is not None:
            return brief
        response = RateLimitResponse(overall_code=OK)
        decisions = [decision for decision in results if decision is not None]
        for decision in results:
            _write_status(response.statuses.add(), decision)
        if decisions:
            deciding = decisions[0] if len(decisions) == 1 else closest_to_denying(decisions)
            headers = rate_limit_headers(deciding, self._legacy)
            if not deciding.allowed:
                headers |= _deny(response, deciding)
            self._write_headers(response, headers)
        return response.SerializeToString()

    def _write_headers(self, response: RateLimitResponse, headers: Mapping[str, str]) -> None:
        added = response.response_headers_to_add
        for name, value in headers.items():
            added.append(HeaderValue(key=name, value=value))
        if self._exposes and (exposed := [name for name in headers if name != CONTENT_TYPE]):
            added.append(HeaderValue(key="Access-Control-Expose-Headers", value=", ".join(exposed)))


CONTENT_TYPE = "Content-Type"


def _deny(response: RateLimitResponse, decision: Decision) -> dict[str, str]:
    """Makes the response a denial; returns its headers. Envoy answers every denial with the same status."""
    response.overall_code = OVER_LIMIT
    kind, detail, members, headers = denial_of(decision)
    response.raw_body = orjson.dumps(problem_document(kind, detail, members) | {"status": TOO_MANY_REQUESTS})
    return headers | {CONTENT_TYPE: PROBLEM_JSON}


def _write_status(status: Status, decision: Decision | None) -> None:
    if decision is None:
        status.code = OK
        return
    status.code = OK if decision.allowed else OVER_LIMIT
    leading = None if decision.degraded else decision.leading
    if leading is not None:
        _write_limit(status, leading)


def _write_limit(status: Status, state: LimitState) -> None:
    limit = state.limit
    current = status.current_limit
    current.name = state.name
    current.requests_per_unit = min(limit.quota, MAX_UINT32)
    current.unit = _unit(limit)
    _write_state(status, state)


def _write_state(status: Status, state: LimitState) -> None:
    status.limit_remaining = min(state.remaining, MAX_UINT32)
    seconds, microseconds = divmod(ceil(state.reset_after * SECOND_US), SECOND_US)
    duration = status.duration_until_reset
    duration.seconds = seconds
    duration.nanos = microseconds * 1_000


class _Template(NamedTuple):
    """What the answers have in common in which these limits admit a request and one of them is the leading one."""

    limits: tuple[Limit, ...]
    message: bytes


_templates: dict[tuple[str | int, ...], _Template] = {}
"""Name of the leading limit, names and identities of all → template. It keeps its limits, so that no others have their
identities."""

MAX_TEMPLATES = 10_000


def _brief(decision: Decision) -> bytes | None:
    """The answer to a request that limits admit, from a template: the most frequent one. None if no limit is
    enforced."""
    states = [state for state in decision.limits if state.is_enforced]
    if not states:
        return None
    leading = states[0] if len(states) == 1 else decision.leading
    assert leading is not None
    key: tuple[str | int, ...] = (
        leading.name,
        *[state.name for state in states],
        *[id(state.limit) for state in states],
    )
    response = RateLimitResponse.FromString((_templates.get(key) or _new_template(key, states, leading)).message)
    _write_state(response.statuses[0], leading)
    header = response.response_headers_to_add.add()
    header.key = LIMIT_FIELD
    header.value = ", ".join(map(admitting_item, states))
    return response.SerializeToString()


def _new_template(key: tuple[str | int, ...], states: Sequence[LimitState], leading: LimitState) -> _Template:
    response = RateLimitResponse(overall_code=OK)
    status = response.statuses.add()
    status.code = OK
    _write_limit(status, leading)
    policies = ", ".join(map(policy_item, states))
    response.response_headers_to_add.append(HeaderValue(key=POLICY_FIELD, value=policies))
    if len(_templates) >= MAX_TEMPLATES:
        _templates.clear()
    template = _Template(tuple(state.limit for state in states), response.SerializeToString())
    return _templates.setdefault(key, template)


def _unit(limit: Limit) -> Unit.Unit:
    """The unit of a limit; UNKNOWN for a window that is none of Envoy's units."""
    if limit.period is not None:
        return _UNITS_OF_PERIODS[limit.period]
    return _UNITS_OF_WINDOWS.get(limit.window or 0, Unit.UNKNOWN)
