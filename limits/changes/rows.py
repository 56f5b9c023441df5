"""A state of the rules → rows, inside a transaction that is rolled back or committed.

A draft is no copy of the tables: a page of the admin shows a draft by writing it to the rows of its transaction,
which is rolled back afterwards. So every page and form works on drafts as on the live rules. Rows that exist only in
the draft would have another primary key in each transaction; addresses and forms contain keys, so these are restored.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Model

from limits.configfile.apply import prune_rules
from limits.configfile.document import Document
from limits.configfile.override_entries import SegmentOverrideEntry
from limits.configfile.overrides import prune_segment_overrides, write_segment_overrides
from limits.configfile.rows import write_rules
from limits.domain.edits import State
from limits.domain.states import rules_of_state
from limits.models import Endpoint, Plan, Policy, PolicyLimit, Route, SegmentOverride, SegmentOverrideLimit
from ratelimit_enforcer.domain.dates import optional_moment
from ratelimit_enforcer.domain.rules import Rules
from ratelimit_enforcer.domain.segments import SegmentOverride as DomainOverride

Ids = Mapping[str, Mapping[str, int]]
"""Table → what identifies a row for people → its primary key."""


class _Table(NamedTuple):
    """A table, what identifies its rows, and the columns of other tables that refer to them."""

    model: type[Model]
    identify: Callable[[Any], str]
    referring: tuple[tuple[type[Model], str], ...] = ()


def _name_of_override(row: SegmentOverride) -> str:
    return f"{row.segment} {row.policy.slug} {row.starts_at}"


_TABLES = (
    _Table(Plan, lambda row: row.slug, ((Policy, "plan_id"), (SegmentOverride, "plan_id"))),
    _Table(Endpoint, lambda row: row.slug, ((Policy, "endpoint_id"), (Route, "endpoint_id"))),
    _Table(Policy, lambda row: row.slug, ((PolicyLimit, "policy_id"), (SegmentOverride, "policy_id"))),
    _Table(SegmentOverride, _name_of_override, ((SegmentOverrideLimit, "override_id"),)),
    _Table(Route, lambda row: f"{row.method} {row.path}"),
    _Table(PolicyLimit, lambda row: f"{row.policy.slug} {row.as_domain().label}"),
    _Table(SegmentOverrideLimit, lambda row: f"{_name_of_override(row.override)} {row.as_domain().label}"),
)


def write_state(state: State, ids: Ids) -> None:
    """Makes the rules those of the state. ``ids``: the primary keys of rows that are new, as :func:`read_ids` returned
    them in an earlier transaction. Raises :class:`~limits.configfile.reading.InvalidConfig` if a row to be removed is
    still used."""
    present = read_ids()
    _write_rules(rules_of_state(state), _names(state), _reasons(state))
    for table in _TABLES:
        name = table.model._meta.model_name or ""
        # Writing a policy replaces the rows of its limits.
        _restore_ids(table, {**ids.get(name, {}), **present[name]})


def read_ids() -> dict[str, dict[str, int]]:
    """The primary keys of all rows that rules consist of."""
    return {
        table.model._meta.model_name or "": {table.identify(row): row.pk for row in table.model._default_manager.all()}
        for table in _TABLES
    }


def _names(state: State) -> dict[str, str]:
    return {slug: item.get("name", "") for slug, item in state["policies"].items()}


def _reasons(state: State) -> list[str]:
    return [item.get("reason", "") for item in state["overrides"].values()]


def _write_rules(rules: Rules, names: dict[str, str], reasons: list[str]) -> None:
    document = Document(
        plans=rules.plans,
        default_plan=rules.default_plan,
        not_default=rules.plan_slugs - {rules.default_plan},
        endpoints=rules.endpoints,
        policies=rules.policies,
        policy_names=names,
    )
    overrides = list(map(_entry, rules.segment_overrides, reasons))
    write_rules(document, prune=True)
    prune_segment_overrides(overrides)
    write_segment_overrides(overrides)
    prune_rules(document)


def _entry(override: DomainOverride, reason: str) -> SegmentOverrideEntry:
    dates = optional_moment(override.starts_at), optional_moment(override.ends_at)
    return SegmentOverrideEntry(override.segment, override.policy, override.limits, *dates, reason)


def _restore_ids(table: _Table, ids: Mapping[str, int]) -> None:
    rows = {table.identify(row): row.pk for row in table.model._default_manager.all()}
    for name, pk in rows.items():
        if (wanted := ids.get(name, pk)) != pk:
            _change_id(table, pk, wanted)


def _change_id(table: _Table, pk: int, wanted: int) -> None:
    """Foreign keys are checked at the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table.model._meta.db_table} SET id = %s WHERE id = %s", [wanted, pk])  # noqa: S608 - no value
        for model, column in table.referring:
            cursor.execute(f"UPDATE {model._meta.db_table} SET {column} = %s WHERE {column} = %s", [wanted, pk])  # noqa: S608
