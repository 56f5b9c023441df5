"""The order in which plans are listed, which people set, and their price notes: neither is part of the rules."""

from typing import Any

from django.db import models, transaction

MAX_POSITION = 32_767
MAX_PRICE_NOTE_LENGTH = 200


@transaction.atomic
def move_plan(plan: Any, places: int) -> tuple[int, int]:
    """Moves a plan by so many places, down if positive, and numbers all plans. Returns its place from 1, and the
    number of plans."""
    rows = list(type(plan)._default_manager.select_for_update())
    at = rows.index(plan)
    to = min(max(at + places, 0), len(rows) - 1)
    rows.insert(to, rows.pop(at))
    for position, row in enumerate(rows, start=1):
        row.position = position
    type(plan)._default_manager.bulk_update(rows, ["position"])
    return to + 1, len(rows)


def last_position(plans: "models.QuerySet[Any]") -> int:
    """The position of a new plan: behind all others, or 0 as long as nobody has moved a plan."""
    highest: int = plans.aggregate(highest=models.Max("position"))["highest"] or 0
    return min(highest + 1, MAX_POSITION) if highest else 0
