"""Searches of big tables that sort what they find."""

from typing import Any

from django.db.models import F, QuerySet, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Concat
from django.http import HttpRequest

SORTED = 200_000
"""Rows that are sorted at most: of more, the first page is found sooner by the index of the order."""


class SortsWhatItFinds:
    """For lists of which a few rows among a million are found. PostgreSQL would go through all rows in
    their order, and look whether each is found, which takes a second where those are the last ones."""

    sorted_when_found = "key"
    """The column by which the list is ordered."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, repeats = super().get_search_results(request, queryset, search_term)  # type: ignore[misc]
        if search_term and found.order_by()[:SORTED].count() < SORTED:
            found = found.order_by(*map(self._sorted, found.query.order_by))
        return found, repeats

    def _sorted(self, name: Any) -> Any:
        """The same order by an expression, which no index has."""
        if name not in (self.sorted_when_found, f"-{self.sorted_when_found}"):
            return name
        return OrderBy(Concat(F(self.sorted_when_found), Value("")), descending=name.startswith("-"))
