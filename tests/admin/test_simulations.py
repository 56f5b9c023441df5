"""The page of simulations: started over recorded usage, shown as bounds, exported."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone

from limits.changes.lifecycle import Actor, start
from limits.domain.edits import Edit
from limits.models import ChangeSet, Simulation, Usage
from limits.models.roles import SUPPORT, create_roles
from limits.simulation import running
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def change(shop: Platform, ada: User) -> ChangeSet:
    """From 100 to 10 requests a minute, over a minute in which acme made 40 requests and others 5."""
    minute = now() - timedelta(minutes=10)
    for key, requests in (("acme", 40), ("=formula", 30), ("small", 5)):
        Usage.objects.create(
            client_key=key, endpoint="search", minute=minute, outcome="admitted", requests=requests, cost=requests
        )
    return start("Tight", Actor.of(ada), [Edit(("policies", "all", "limits", "60s", "quota"), 100, 10)])


def now() -> datetime:
    return timezone.now().replace(second=0, microsecond=0)


def address(change: ChangeSet, page: str = "simulation", *arguments: int) -> str:
    return reverse(f"admin:limits_changeset_{page}", args=[change.pk, *arguments])


def send(desk: Desk, change: ChangeSet, begin: datetime, end: datetime) -> Page:
    data = {}
    for name, moment in (("begin", begin), ("end", end)):
        data |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M}"}
    return Page(desk.client.post(address(change), data, follow=True))


def simulated(desk: Desk, change: ChangeSet) -> Simulation:
    send(desk, change, now() - timedelta(hours=1), now())
    run = Simulation.objects.get()
    running.run(run.pk)
    run.refresh_from_db()
    return run


def test_a_simulation_is_started_and_shows_its_progress(desk: Desk, change: ChangeSet) -> None:
    page = send(desk, change, now() - timedelta(hours=1), now())
    run = Simulation.objects.get()
    assert (run.author, run.end - run.begin, run.change_set) == ("ada", timedelta(hours=1), change)
    assert "waits for a worker" in page.text
    progress = desk.open(address(change, "simulation_progress", run.pk))
    assert "0 % of the clients" in progress.text
    assert "HX-Refresh" not in progress.response.headers


def test_the_result_has_bounds_and_who_is_hit_that_was_not_before(desk: Desk, change: ChangeSet) -> None:
    run = simulated(desk, change)
    context: Any = desk.open(address(change)).response.context
    assert run.state == Simulation.State.DONE
    # 40 and 30 requests in one minute against a quota of 10 in any 60 s: at least 30 and 20 are denied, if the minute
    # is one window.
    assert context["everything"].requests == 75
    assert (context["denied_before"], context["denied_after"]) == ("0", "50")
    assert [(row.client_key, before, after) for row, before, after in context["newly_denied"]] == [
        ("acme", "0", "30"),
        ("=formula", "0", "20"),
    ]
    progress = desk.open(address(change, "simulation_progress", run.pk))
    assert progress.response.headers["HX-Refresh"] == "true"


def test_the_file_has_the_clients_that_are_hit(desk: Desk, change: ChangeSet) -> None:
    run = simulated(desk, change)
    response: Any = desk.client.get(address(change, "simulation_file", run.pk), {"new": "1"})
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0].startswith("client,plan,endpoint,policy,requests,denied_before_least")
    clients = {line.partition(",")[0] for line in lines[1:]}
    assert clients == {"acme", "'=formula"}


@pytest.mark.parametrize(
    ("begin", "end", "field", "message"),
    [
        (-60, -60, "end", "at least one minute after"),
        (-60 * 24 * 20, 0, "begin", "kept by minute for 14 days"),
    ],
)
def test_a_wrong_time_is_an_error_at_its_field(
    desk: Desk, change: ChangeSet, begin: int, end: int, field: str, message: str
) -> None:
    page = send(desk, change, now() + timedelta(minutes=begin), now() + timedelta(minutes=end))
    assert message in page.response.context["form"].errors[field][0]
    assert not Simulation.objects.exists()


def test_an_edit_afterwards_is_pointed_out(desk: Desk, change: ChangeSet) -> None:
    simulated(desk, change)
    change.set_edits([Edit(("policies", "all", "limits", "60s", "quota"), 100, 20)])
    change.save()
    assert "The change set was edited afterwards." in desk.open(address(change)).text


def test_support_sees_the_result_and_starts_nothing(change: ChangeSet, desk: Desk) -> None:
    simulated(desk, change)
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user("grace", is_staff=True)
    user.groups.add(Group.objects.get(name=SUPPORT))
    grace = desk_of(user)
    page = grace.open(address(change))
    assert "By plan" in page.text
    assert ">Simulate<" not in page.text
    assert send(grace, change, now() - timedelta(hours=1), now()).status == 403
    assert Simulation.objects.count() == 1


def test_a_run_of_another_change_set_is_not_found(desk: Desk, change: ChangeSet, ada: User) -> None:
    run = simulated(desk, change)
    other = start("Other", Actor.of(ada))
    assert desk.open(address(other), run=str(run.pk)).status == 404
    assert desk.open(address(other), run="9" * 30).status == 404
    assert desk.open(address(other, "simulation_file", run.pk)).status == 404
