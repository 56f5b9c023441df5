"""Single objects of the config file: each is read, written and deleted by itself, with the same fields.

A kind is one section of the file. Plans, endpoints, policies and alert rules are identified by the name that the file
gives them; overrides and blocks (:mod:`limits.configfile.numbered_objects`) by an id of the platform.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db.models import PROTECT, Model, ProtectedError, QuerySet

from limits.configfile.apply import reference_problems
from limits.configfile.document import Document, document_of
from limits.configfile.export import item_of_alert_rule
from limits.configfile.plan_details import details_of
from limits.configfile.reading import InvalidConfig
from limits.configfile.rows import write_alert_rules, write_rules
from limits.configfile.schema import MAX_RULE_NAME_LENGTH
from limits.configfile.secrets import hide_secrets
from limits.domain.rule_items import item_of_endpoint, item_of_plan, item_of_policy
from limits.models import AlertRule, Endpoint, Plan, Policy
from limits.publishing.reconciler import go_live
from limits.publishing.rules import Delivery, endpoint_of, policy_of
from ratelimit_enforcer.domain.rules import Plan as DomainPlan
from ratelimit_enforcer.domain.validation import PRINTABLE, slug_problem

MAX_REFERENCES = 5
"""Number of rows of each kind that are named as the reason why a row cannot be deleted."""


class StillUsed(Exception):
    """The row cannot be deleted, because ``references`` refer to it: some of them by name."""

    def __init__(self, row: Model, references: list[str]) -> None:
        self.references = references
        super().__init__(f"{row._meta.verbose_name} “{row}” is still used by: {', '.join(references)}.")


class Kind(ABC):
    """One section of the config file, whose items are written one by one."""

    name: str
    """For people, such as “alert rule”."""
    section: str
    """The section of the config file."""
    identity: str
    """The field that identifies an item."""
    filters: Mapping[str, str]
    """Fields by which a list is filtered → lookups."""

    @abstractmethod
    def page(self, limit: int, after: str, filters: Mapping[str, str]) -> list[Any]:
        """At most ``limit`` rows that follow the one that ``after`` identifies (empty: from the beginning) and have
        these values (lookup → value)."""

    @abstractmethod
    def find(self, key: str) -> Any:
        """The row that ``key`` identifies; None if there is none."""

    @abstractmethod
    def key_of(self, row: Any) -> str:
        """What identifies the row."""

    @abstractmethod
    def key_problem(self, key: str) -> str | None:
        """What is wrong with a text that cannot identify any row, or None."""

    @abstractmethod
    def item_of(self, row: Any) -> dict[str, Any]:
        """The fields of a row, with secrets, as in the config file. A field with its default value may be missing."""

    @abstractmethod
    def write(self, item: dict[str, Any], row: Any, user: Any) -> Any:
        """Creates a row (``row`` None), or makes the row what the item says; what is missing gets its default value.
        ``user``: the author. Returns the row. Raises :class:`~limits.configfile.reading.InvalidConfig`."""

    def document(self, item: dict[str, Any]) -> Document:
        """A config file with this item alone, checked like any other. Raises
        :class:`~limits.configfile.reading.InvalidConfig`."""
        document = document_of({self.section: [item]})
        if problems := list(reference_problems(document)):
            raise InvalidConfig(problems)
        return document

    def shown(self, row: Any) -> dict[str, Any]:
        """The fields of a row, with references in place of secrets."""
        found: dict[str, Any] = hide_secrets({self.section: [self.item_of(row)]})[self.section][0]
        return found

    def delete(self, row: Any) -> None:
        """Deletes the row and its parts. Raises :class:`StillUsed`."""
        if found := list(references_to(row)):
            raise StillUsed(row, found)
        try:
            row.delete()
        except ProtectedError as error:  # A row that began to refer to this one in the meantime.
            raise StillUsed(row, list(references_to(row))) from error

    def deliver(self, row: Any) -> Delivery:
        """Makes a change of this row live, after the commit."""
        return go_live()


def references_to(row: Model) -> Iterator[str]:
    """Yields the rows, by name, that prevent that this one is deleted: the first of each kind, and the number of the
    others."""
    for relation in row._meta.related_objects:
        if getattr(relation, "on_delete", None) is PROTECT and relation.related_model is not None:
            rows = relation.related_model._default_manager.filter(**{relation.field.name: row}).order_by("pk")
            named = list(rows[: MAX_REFERENCES + 1])
            yield from (f"{each._meta.verbose_name} “{each}”" for each in named[:MAX_REFERENCES])
            if len(named) > MAX_REFERENCES:
                yield f"{rows.count() - MAX_REFERENCES:,} more {named[0]._meta.verbose_name_plural}"


class NamedKind(Kind):
    """A kind whose items have a name of their own, which cannot be changed. ``rows`` returns all rows, with what
    their items need."""

    def __init__(
        self,
        name: str,
        section: str,
        *,
        rows: Callable[[], QuerySet[Any]],
        item_of: Callable[[Any], dict[str, Any]],
        write: Callable[[Document], None],
        key_problem: Callable[[str], str | None] = slug_problem,
        identity: str = "slug",
        filters: Mapping[str, str] | None = None,
        deliver: Callable[[], Delivery] = go_live,
    ) -> None:
        self.name, self.section, self.identity, self.filters = name, section, identity, filters or {}
        self._rows, self._item_of, self._write, self._deliver = rows, item_of, write, deliver
        self._key_problem = key_problem

    def page(self, limit: int, after: str, filters: Mapping[str, str]) -> list[Any]:
        rows = self._rows().filter(**{f"{self.identity}__gt": after}, **filters)
        return list(rows.order_by(self.identity)[:limit])

    def find(self, key: str) -> Any:
        return self._rows().filter(**{self.identity: key}).first()

    def key_of(self, row: Any) -> str:
        return str(getattr(row, self.identity))

    def key_problem(self, key: str) -> str | None:
        return self._key_problem(key)

    def item_of(self, row: Any) -> dict[str, Any]:
        return self._item_of(row)

    def write(self, item: dict[str, Any], row: Any, user: Any) -> Any:
        self._write(self.document(item))
        return self.find(item[self.identity])

    def deliver(self, row: Any) -> Delivery:
        return self._deliver()


def _write_rules(document: Document) -> None:
    write_rules(document, prune=False)


def _write_alert_rules(document: Document) -> None:
    write_alert_rules(document.alert_rules or ())


def _item_of_plan(row: Plan) -> dict[str, Any]:
    return item_of_plan(DomainPlan(row.slug, row.name), is_default=row.is_default) | details_of(row)


def _name_problem(name: str) -> str | None:
    valid = name.strip() and len(name) <= MAX_RULE_NAME_LENGTH and PRINTABLE.match(name)
    return None if valid else f"must have 1 to {MAX_RULE_NAME_LENGTH} printable characters."


PLANS = NamedKind("plan", "plans", rows=Plan.objects.all, item_of=_item_of_plan, write=_write_rules)
ENDPOINTS = NamedKind(
    "endpoint",
    "endpoints",
    rows=lambda: Endpoint.objects.prefetch_related("routes"),
    item_of=lambda row: item_of_endpoint(endpoint_of(row)),
    write=_write_rules,
)
POLICIES = NamedKind(
    "policy",
    "policies",
    rows=lambda: Policy.objects.select_related("plan", "endpoint").prefetch_related("limits"),
    item_of=lambda row: item_of_policy(policy_of(row), row.name),
    write=_write_rules,
    filters={"plan": "plan__slug", "endpoint": "endpoint__slug"},
)
ALERT_RULES = NamedKind(
    "alert rule",
    "alert_rules",
    rows=lambda: AlertRule.objects.select_related("plan", "endpoint", "policy"),
    item_of=lambda row: item_of_alert_rule(row.as_domain()),
    write=_write_alert_rules,
    key_problem=_name_problem,
    identity="name",
    filters={
        "client": "client_key",
        "plan": "plan__slug",
        "endpoint": "endpoint__slug",
        "policy": "policy__slug",
    },
    deliver=lambda: Delivery(True),
)
