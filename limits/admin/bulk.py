"""Changing many rows that were selected on a list: without a field for each row, and in bounded time."""

import re
from collections.abc import Iterator
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

CHUNK = 1_000
"""Rows that are changed in one transaction."""

AT_MOST = 20_000
"""Rows that one request changes; the rest is confirmed again."""

_KEYS = re.compile("[0-9]{1,18}(,[0-9]{1,18})*")


def with_keys(form: QueryDict) -> QueryDict:
    """The form of a list with one value for each selected row, also where one value names them all.
    What cannot be a key selects nothing."""
    given = [text for text in form.getlist(ACTION_CHECKBOX_NAME) if _KEYS.fullmatch(text)]
    copy = form.copy()
    copy.setlist(ACTION_CHECKBOX_NAME, [key for text in given for key in text.split(",")])
    return copy


def selection(request: HttpRequest) -> list[tuple[str, str]]:
    """The selection as hidden fields (name, value) of a page that asks before it acts: at most three. What
    is selected across pages is the list's own search and filters, which are in the address."""
    chosen = ",".join(request.POST.getlist(ACTION_CHECKBOX_NAME))
    across = request.POST.get("select_across") == "1"
    if across:
        chosen = chosen.split(",")[0]
    fields = {"action": request.POST.get("action", ""), ACTION_CHECKBOX_NAME: chosen}
    return [*fields.items(), ("select_across", "1" if across else "0")]


def chunks(rows: QuerySet[Any], most: int = AT_MOST) -> Iterator[QuerySet[Any]]:
    """These rows, ``CHUNK`` at a time in the order of their keys, ``most`` altogether. Each chunk is read
    when it is its turn."""
    last = -1
    for _ in range(-(-most // CHUNK)):
        keys = list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK])
        if not keys:
            return
        yield rows.model._default_manager.filter(pk__in=keys)
        last = keys[-1]
