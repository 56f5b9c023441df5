"""A draft is written to the rows of a transaction, with the same primary keys each time."""

import json
from typing import Any

import pytest
from django.db import transaction

from limits.changes.rows import Ids, read_ids, write_state
from limits.publishing.rules import read_state
from tests.configfile.files import put
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

LIVE = """
plans: [{slug: free, default: true}, {slug: pro}]
endpoints: [{slug: search, routes: ["GET /search"]}, {slug: unused}]
policies:
  - slug: search
    name: Search
    endpoint: search
    limits: [{quota: 10, window: 60}, {quota: 100, algorithm: calendar, period: day}]
  - {slug: old, limits: [{quota: 1, window: 1}]}
overrides:
  - {clients: {plan: pro}, policy: search, limits: [{quota: 50, window: 60}], reason: Paid for it}
"""

SLIDING = {"algorithm": "sliding_window", "window": 60}


@pytest.fixture
def draft(platform: Platform) -> Any:
    """A state in which rows of every kind are new, changed or removed."""
    put(LIVE)
    draft = json.loads(json.dumps(read_state()))
    draft["plans"]["gold"] = {"slug": "gold", "name": "Gold", "default": True}
    del draft["plans"]["free"]["default"]
    del draft["endpoints"]["unused"], draft["policies"]["old"]
    draft["endpoints"]["orders"] = {"slug": "orders", "name": "Orders", "routes": ["POST /orders"], "cost": 5}
    draft["policies"]["search"]["limits"]["60s"]["quota"] = 20
    draft["policies"]["gold"] = {"slug": "gold", "plan": "gold", "limits": {"60s": SLIDING | {"quota": 9}}}
    draft["overrides"]["tags vip search "] = {
        "clients": {"tags": ["vip"]},
        "policy": "search",
        "limits": {"60s": SLIDING | {"quota": 70}},
    }
    return draft


def in_a_transaction(draft: Any, ids: Ids) -> tuple[Any, Ids]:
    """The state and the primary keys while the draft is written, after which everything is rolled back."""
    with transaction.atomic():
        write_state(draft, ids)
        found = read_state(), read_ids()
        transaction.set_rollback(True)
    return found


def test_the_rows_are_those_of_the_draft_and_keep_their_keys(draft: Any) -> None:
    live, ids = read_state(), read_ids()
    first, keys = in_a_transaction(draft, ids)
    second, later_keys = in_a_transaction(draft, keys)
    assert first == second == draft
    assert keys == later_keys
    assert (read_state(), read_ids()) == (live, ids)


def test_rows_that_are_live_keep_their_keys(draft: Any) -> None:
    ids = read_ids()
    _, keys = in_a_transaction(draft, ids)
    for table, live in ids.items():
        assert {name: keys[table][name] for name in live if name in keys[table]} == {
            name: pk for name, pk in live.items() if name in keys[table]
        }


def test_a_draft_can_be_committed(draft: Any) -> None:
    _, keys = in_a_transaction(draft, read_ids())
    with transaction.atomic():
        write_state(draft, keys)
    assert (read_state(), read_ids()) == (draft, keys)
