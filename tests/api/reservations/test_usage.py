"""``GET /v1/usage`` with places that are taken and quotas that are overdrawn."""

import pytest

from tests.api.reservations.conftest import Reserver

pytestmark = pytest.mark.usefixtures("shop")


def usage(caller: Reserver) -> dict[str, tuple[int, float | None]]:
    """Name of each limit of “ann” → what remains, and when some is available again."""
    limits = caller.client.get("/v1/usage?client=ann", headers={"authorization": "Bearer checker"}).json()["limits"]
    return {limit["name"]: (limit["remaining"], limit["next_capacity_after"]) for limit in limits}


def test_places_are_taken_and_freed(caller: Reserver) -> None:
    assert usage(caller)["stream:concurrent"] == (2, None)
    held = caller.post("/v1/check", {"client": "ann", "endpoint": "stream"}).json()["reservation"]
    remaining, again = usage(caller)["stream:concurrent"]
    assert remaining == 1
    assert again is not None
    assert 0 < again <= 60
    assert caller.delete(held).status_code == 204
    assert usage(caller)["stream:concurrent"] == (2, None)


def test_nothing_remains_of_an_overdrawn_quota(caller: Reserver) -> None:
    caller.charge(2_500)
    remaining, again = usage(caller)["model:3600s"]
    assert remaining == 0
    assert again is not None
    assert 3_590 < again <= 3_600
