"""From a reservation and its settlement to the rows of the database."""

import pytest

from limits.monitoring.drain import drain
from limits.store.open_reservations import Unsettled, unsettled
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.conftest import ada, desk, shop
from tests.monitoring.counting import settlements, usage
from tests.publishing.platforms import Platform

__all__ = ["ada", "desk", "shop"]

pytestmark = pytest.mark.django_db(transaction=True)


def reserve(client: str, cost: int) -> str:
    decision = get_engine().check(CheckRequest(client, "any", cost=cost, reserve=Reserve(ttl=60)))
    assert decision.reservation is not None
    return decision.reservation


def test_reservations_and_settlements_become_rows(shop: Platform) -> None:
    """The quota is 100."""
    get_engine().settle(reserve("acme", 50), 20)
    get_engine().settle(reserve("acme", 50), 120)
    assert reserve("globex", 5)
    drain()
    figures = {client: each for (_, client, _), each in settlements().items()}
    assert figures == {"acme": (100, 2, 140, 30, 70, 40), "globex": (5, 0, 0, 0, 0, 0)}
    assert usage() == {("acme", "", "admitted"): (2, 100), ("globex", "", "admitted"): (1, 5)}
    assert unsettled(shop.redis, shop.keys) == Unsettled(open=1, expired=0)
