"""Operations in ``TextsOnly`` have no effect on tables, because Django runs no statement for them."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AlterConstraint, AlterField, AlterModelOptions
from django.db.models import Field

from limits.migrations._operations import TextsOnly

pytestmark = pytest.mark.django_db


def stored(field: "Field[Any, Any]") -> tuple[Any, ...]:
    """What a table has of this field: all attributes that are more than text or validation."""
    _, path, args, kwargs = field.deconstruct()
    kept = {name: value for name, value in kwargs.items() if name not in field.non_db_attrs}
    return (
        path,
        list(args),
        {name: stored(value) if isinstance(value, Field) else value for name, value in kept.items()},
    )


def without_message(constraint: Any) -> Any:
    path, args, kwargs = constraint.deconstruct()
    return path, args, {name: value for name, value in kwargs.items() if name != "violation_error_message"}


def operations() -> list[tuple[Any, TextsOnly]]:
    """State before the migration, and operation."""
    loader = MigrationLoader(connection)
    nodes = sorted(node for node in loader.graph.nodes if node[0] == "limits")
    return [
        (loader.project_state(node, at_end=False), operation)
        for node in nodes
        for operation in loader.graph.nodes[node].operations
        if isinstance(operation, TextsOnly)
    ]


def test_no_operation_changes_a_table() -> None:
    compared = 0
    for state, texts in operations():
        for operation in texts.state_operations:
            model = state.models["limits", getattr(operation, "model_name_lower", operation.name.lower())]
            if isinstance(operation, AlterField):
                assert stored(operation.field) == stored(model.fields[operation.name]), operation
            elif isinstance(operation, AlterConstraint):
                old = next(each for each in model.options["constraints"] if each.name == operation.name)
                assert without_message(operation.constraint) == without_message(old), operation
            else:
                assert isinstance(operation, AlterModelOptions), operation
            compared += 1
    assert compared == 99
