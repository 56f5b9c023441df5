"""Operations of migrations. Django ignores this module when it looks for migrations, because of the ``_``."""

from collections.abc import Sequence
from typing import Any

from django.db.migrations.operations import SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation


class TextsOnly(SeparateDatabaseAndState):
    """Operations that change only what no table stores: help texts, names, messages.

    Django builds the classes of a changed model and of its relatives after each operation. Here they are built once,
    after the last operation, which for a hundred operations saves seconds.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        super().__init__(state_operations=operations)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        return type(self).__name__, [self.state_operations], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """``ProjectState.apps`` is a cached property, which the next operation that needs it computes again."""
        state.__dict__.pop("apps", None)
        super().state_forwards(app_label, state)
