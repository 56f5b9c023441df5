"""Constraints reference fields, so that Django's validation uses the values of the typed row."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models
from django.db.models import BaseConstraint, F

CONSTRAINTS = [
    pytest.param(model, constraint, id=constraint.name)
    for model in apps.get_app_config("limits").get_models()
    for constraint in model._meta.constraints
]


def names_in(node: object) -> Iterator[str]:
    """All fields that an expression or condition references."""
    if isinstance(node, F):
        yield node.name
    elif isinstance(node, models.Q):
        for child in node.children:
            yield from (_of_lookup(*child) if isinstance(child, tuple) else names_in(child))
    elif hasattr(node, "get_source_expressions"):
        for source in node.get_source_expressions():
            yield from names_in(source)


def _of_lookup(lookup: str, value: object) -> Iterator[str]:
    yield lookup.split("__")[0]
    yield from names_in(value)


def expressions_of(constraint: BaseConstraint) -> list[object]:
    parts = [getattr(constraint, "condition", None), *getattr(constraint, "expressions", ())]
    if isinstance(constraint, ExclusionConstraint):
        parts = [constraint.condition, *(expression for expression, _ in constraint.expressions)]
    return [F(part) if isinstance(part, str) else part for part in parts]


@pytest.mark.parametrize(("model", "constraint"), CONSTRAINTS)
def test_a_constraint_references_fields_and_not_columns(model: type[models.Model], constraint: BaseConstraint) -> None:
    """Validation replaces names of fields by values; a column would be compared with itself."""
    fields = {field.name for field in model._meta.fields}
    named = {name for part in expressions_of(constraint) for name in names_in(part)}
    assert named - fields == set()
