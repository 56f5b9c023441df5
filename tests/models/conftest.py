"""Fixtures of the models' tests."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import DatabaseError, transaction

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def refused(db: None) -> Refused:
    """``with refused("plan_one_default"):`` the database rejects the statements; its message contains this."""

    @contextmanager
    def expect(what: str) -> Iterator[None]:
        with pytest.raises(DatabaseError, match=what), transaction.atomic():
            yield

    return expect
