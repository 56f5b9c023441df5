"""Reservations and charges over HTTP: cost that is consumed before it is known, and settled or debited later."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from api.decisions import STORE_RETRY_AFTER, decision_response
from api.errors import exception_response
from api.idempotency import name_of
from api.openapi.reservations import (
    charge_operation,
    delete_operation,
    reserve_operation,
    settle_all_operation,
    settle_operation,
)
from api.problems import SETTLED_AT_ANOTHER_COST, STORE_UNAVAILABLE, UNKNOWN_RESERVATION, ProblemResponse
from api.rendering import json_response, printable
from api.requests import MAX_BATCH_BODY_BYTES, invalid, parse_query, read_json
from api.reservation_requests import (
    AskedSettlement,
    parse_charge,
    parse_reservation,
    parse_settlement,
    parse_settlements,
)
from api.views import CheckingView, ExceptionHandler
from ratelimit_enforcer.domain.reservations import (
    ReservationId,
    SettledAtAnotherCost,
    Store,
    UnknownReservation,
)
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest, Engine, Guard, StoreDataError, StoreError, get_engine


class ReservationsView(CheckingView):
    """``POST /v1/reservations``: a check whose cost is settled later."""

    @reserve_operation
    def post(self, request: Request) -> HttpResponse:
        always_ok = bool(parse_query(_query_of(request), {"status": "200"}))
        check, reserve = parse_reservation(read_json(request))
        named = reserve._replace(name=name_of(request, "reservation", check.client))
        engine, guard = get_engine(), self.guard(request)
        if check.cost is None and reserve.at_least is not None:
            guard = _with_least(engine, check, reserve.at_least, guard)
        return decision_response(engine.check(check._replace(reserve=named), guard=guard), always_ok=always_ok)


def _with_least(engine: Engine, check: CheckRequest, least: int, guard: Guard) -> Guard:
    """A guard that also requires that ``least`` is at most the endpoint's cost, by the rules that decide."""

    def guard_with_least(ruleset: Ruleset) -> None:
        guard(ruleset)
        cost = _default_cost(engine, check)
        if least > cost:
            raise invalid({"at_least": [f"must be at most the cost, which is {cost:,} by default."]})

    return guard_with_least


def _default_cost(engine: Engine, check: CheckRequest) -> int:
    endpoint = engine.current.endpoint_of(check) if engine.current else None
    return endpoint.cost if endpoint else 1


class SettlingView(CheckingView):
    """The base of views that settle reservations."""

    def get_exception_handler(self) -> ExceptionHandler:
        return _handle_settling_errors


class SettlementView(SettlingView):
    """``POST /v1/reservations/ID/settle``: settles one reservation."""

    @settle_operation
    def post(self, request: Request, reservation: str) -> HttpResponse:
        parse_query(_query_of(request), {})
        cost = parse_settlement(read_json(request))
        settlement = get_engine().settle(reservation, cost, guard=self.guard(request))
        return json_response(settlement._asdict())


class ReservationView(SettlingView):
    """``DELETE /v1/reservations/ID``: refunds a reservation, or frees the concurrency places of a check."""

    @delete_operation
    def delete(self, request: Request, reservation: str) -> HttpResponse:
        parse_query(_query_of(request), {})
        get_engine().release(reservation, guard=self.guard(request))
        return HttpResponse(status=204)


class SettlementsView(SettlingView):
    """``POST /v1/reservations/settle``: settles up to a thousand reservations, each independently."""

    @settle_all_operation
    def post(self, request: Request) -> HttpResponse:
        parse_query(_query_of(request), {})
        asked = parse_settlements(read_json(request, MAX_BATCH_BODY_BYTES))
        return json_response({"results": list(_results(get_engine(), asked, self.guard(request)))})


def _results(engine: Engine, asked: Sequence[AskedSettlement], guard: Guard) -> Iterator[dict[str, Any]]:
    """Yields the result of each settlement. Once the store has failed, it is not asked again, since each call could
    wait for it until its deadline. ``guard`` is called once."""
    outage: StoreError | None = None
    engine.authorize(guard)
    for each in asked:
        try:
            if outage is not None and _is_in_store(each.reservation):
                raise outage
            yield {"status": 200, **engine.settle(*each)._asdict()}
        except SETTLING_ERRORS as error:
            if isinstance(error, StoreError) and not isinstance(error, StoreDataError):
                outage = error
            document = _settling_problem(error).document()
            yield {"status": document["status"], "reservation": printable(each.reservation), **document}


def _is_in_store(reservation: str) -> bool:
    return ReservationId.parse(reservation).store is Store.SHARD


SETTLING_ERRORS = (UnknownReservation, SettledAtAnotherCost, StoreError)


def _settling_problem(error: UnknownReservation | SettledAtAnotherCost | StoreError) -> ProblemResponse:
    match error:
        case UnknownReservation():
            return ProblemResponse(UNKNOWN_RESERVATION, str(error))
        case SettledAtAnotherCost(settlement=settlement):
            return ProblemResponse(SETTLED_AT_ANOTHER_COST, str(error), members=settlement._asdict())
        case StoreDataError():
            return ProblemResponse(STORE_UNAVAILABLE, str(error), headers=STORE_RETRY_AFTER)
    detail = "The store is unavailable. The settlement may be sent again."
    return ProblemResponse(STORE_UNAVAILABLE, detail, headers=STORE_RETRY_AFTER)


def _handle_settling_errors(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    if isinstance(error, SETTLING_ERRORS):
        return _settling_problem(error).response()
    return exception_response(error, context)


class ChargeView(CheckingView):
    """``POST /v1/charge``: debits a cost, even beyond the quota."""

    @charge_operation
    def post(self, request: Request) -> HttpResponse:
        parse_query(_query_of(request), {})
        asked = parse_charge(read_json(request))
        name, engine = name_of(request, "charge", asked.client), get_engine()
        if asked.cost is None:
            # The endpoint's cost by the rules in force, which this process may not have yet.
            engine.refresh()
        cost = asked.cost or _default_cost(engine, asked)
        try:
            charge = engine.charge(asked, cost, name=name, guard=self.guard(request))
        except SettledAtAnotherCost as error:
            raise _charged_before(error) from error
        return json_response(charge._asdict())


def _charged_before(error: SettledAtAnotherCost) -> ProblemResponse:
    """The response to a charge whose key was used for another cost."""
    before = error.settlement
    detail = f"This Idempotency-Key was used for a charge of {before.cost:,}."
    members = {"cost": before.cost, "overdrawn": before.overdrawn}
    return ProblemResponse(SETTLED_AT_ANOTHER_COST, detail, members=members)


def _query_of(request: Request) -> str:
    query: str = request.META.get("QUERY_STRING", "")
    return query
