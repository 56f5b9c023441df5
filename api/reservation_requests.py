"""Validates requests about reservations and charges, field by field."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from api.requests import check_of, check_problems, invalid, reject_invalid, whole_number
from ratelimit_enforcer.domain.limit import MAX_COST
from ratelimit_enforcer.domain.reservations import DEFAULT_TTL, MAX_SETTLED_COST, MAX_TTL, Reserve
from ratelimit_enforcer.engine import CheckRequest

MAX_SETTLEMENTS = 1_000

_RESERVATION_FIELDS = {"ttl": whole_number(1, MAX_TTL), "at_least": whole_number(1, MAX_COST)}
_CHARGE_FIELDS = {"cost": whole_number(1, MAX_SETTLED_COST)}
_settled_cost_problem = whole_number(0, MAX_SETTLED_COST)


class AskedSettlement(NamedTuple):
    """A reservation to be settled at this cost (None: at what was reserved)."""

    reservation: str
    cost: int | None


def parse_reservation(body: Any) -> tuple[CheckRequest, Reserve]:
    """The check in a JSON body, and what it reserves. Raises :class:`~api.problems.ProblemResponse`, which lists every
    invalid field."""
    fields = _require_object(body)
    reject_invalid(_reservation_problems(fields))
    reserve = Reserve(fields.get("ttl", DEFAULT_TTL), fields.get("at_least"))
    check = check_of({name: value for name, value in fields.items() if name not in _RESERVATION_FIELDS})
    return check, reserve


def parse_charge(body: Any) -> CheckRequest:
    """The charge in a JSON body, as a check whose cost may be up to
    :data:`~ratelimit_enforcer.domain.reservations.MAX_SETTLED_COST`. Raises :class:`~api.problems.ProblemResponse`."""
    fields = _require_object(body)
    reject_invalid(check_problems(fields, _CHARGE_FIELDS, "charge"))
    return check_of(fields)


def parse_settlement(body: Any) -> int | None:
    """The cost in a JSON body; None if it has none. Raises :class:`~api.problems.ProblemResponse`."""
    fields = _require_object(body)
    reject_invalid(_settlement_problems(fields))
    cost: int | None = fields.get("cost")
    return cost


def parse_settlements(body: Any) -> list[AskedSettlement]:
    """The settlements in a JSON body. Raises :class:`~api.problems.ProblemResponse`, which lists every invalid field of
    every settlement."""
    if not isinstance(body, dict) or not isinstance(body.get("settlements"), list):
        raise invalid({"settlements": [f"must be a list of 1 to {MAX_SETTLEMENTS:,} settlements."]})
    reject_invalid(_list_problems(body))
    return [AskedSettlement(each["reservation"], each.get("cost")) for each in body["settlements"]]


def _require_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    return body


def _reservation_problems(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = list(check_problems(fields, _RESERVATION_FIELDS, "reservation"))
    yield from found
    has_both = "cost" in fields and "at_least" in fields
    if has_both and not {"cost", "at_least"} & {name for name, _ in found} and fields["at_least"] > fields["cost"]:
        yield "at_least", f"must be at most the cost, {fields['cost']:,}."


def _settlement_problems(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        message = _settled_cost_problem(value) if name == "cost" else "is not a field of a settlement."
        if message:
            yield name, message


def _list_problems(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((name, "is not a field of a list of settlements.") for name in body if name != "settlements")
    settlements = body["settlements"]
    if not 1 <= len(settlements) <= MAX_SETTLEMENTS:
        yield "settlements", f"must have 1 to {MAX_SETTLEMENTS:,} settlements, not {len(settlements):,}."
        return
    for at, each in enumerate(settlements):
        if not isinstance(each, dict):
            yield f"settlements[{at}]", "must be a JSON object."
            continue
        for name, message in _item_problems(each):
            yield f"settlements[{at}].{name}", message


def _item_problems(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "reservation" not in fields:
        yield "reservation", "is required."
    elif not isinstance(fields["reservation"], str):
        yield "reservation", "must be a string."
    yield from _settlement_problems({name: value for name, value in fields.items() if name != "reservation"})
