"""Reports of random counts, changes, time zones and groups, compared with a plain model."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from limits.models import Client, LateCount, Progress, RecordedClient, RecordedDefaultPlan, UsageDay, Work
from limits.monitoring import drain
from limits.monitoring.rollups import roll_up
from limits.reports.reading import rows
from limits.reports.subjects import TIMES, By, Report, Row
from limits.store.usage import CountKey
from ratelimit_enforcer.domain.usage import PolicyKind
from tests.reports.model import HOUR, Count, State, World
from tests.support.histories import history_settings

pytestmark = pytest.mark.django_db

FIRST, LAST = datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
HOURS = (LAST - FIRST) // HOUR
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLIENTS, ENDPOINTS, TAGS = ("", "acme", "beta", "corp", "never"), ("", "search"), ("eu", "vip")
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland")]
KINDS = {"admitted": "a", "denied": "d", "blocked": "b", "exempt": "e"}

moments = st.integers(0, HOURS - 1).map(lambda number: FIRST + number * HOUR)
days = st.integers(0, HOURS // 24).map(lambda number: FIRST + number * 24 * HOUR)
states = st.builds(
    State,
    plan=st.sampled_from(["", "pro"]),
    tags=st.sets(st.sampled_from(TAGS)).map(lambda tags: tuple(sorted(tags))),
    root=st.sampled_from(["acme", "corp"]),
    on_default=st.booleans(),
)


@st.composite
def counts(draw: Any) -> Count:
    minute = draw(moments) + timedelta(minutes=draw(st.integers(0, 59)))
    # Most counts arrive at once; some around the close of their month, or much later.
    delay = draw(st.sampled_from([0, 0, 0, 23, 25, 48, 7 * 24, 30 * 24]))
    arrived = min(minute + delay * HOUR, NOW)
    number = draw(st.integers(1, 9))
    if draw(st.booleans()):
        policy, mode = draw(st.sampled_from(["tight", "wide"])), draw(st.sampled_from(["enforce", "shadow"]))
        return Count(minute, _client(draw), _endpoint(draw), "", number, 0, arrived, policy, mode)
    outcome = draw(st.sampled_from(sorted(KINDS)))
    return Count(minute, _client(draw), _endpoint(draw), outcome, number, number, arrived)


def _client(draw: Any) -> str:
    return str(draw(st.sampled_from(CLIENTS)))


def _endpoint(draw: Any) -> str:
    return str(draw(st.sampled_from(ENDPOINTS)))


@st.composite
def worlds(draw: Any) -> World:
    world = World(sorted(draw(st.lists(counts(), max_size=30)), key=lambda count: count.arrived))
    for client in CLIENTS[1:-1]:
        changes = sorted(draw(st.sets(moments | days, max_size=4)))
        found: list[tuple[datetime, State | None]] = []
        for begin in changes:
            before = found[-1][1] if found else None
            found.append((begin, draw(states if before is None else st.none() | states)))
        world.states[client] = found
    begins = sorted(draw(st.sets(moments, max_size=2)))
    world.default_plans = [(begin, draw(st.sampled_from(["", "free", "basic"]))) for begin in begins]
    return world


@st.composite
def reports(draw: Any) -> Report:
    begin, end = sorted(draw(st.tuples(moments | days, moments | days).filter(lambda pair: pair[0] != pair[1])))
    time = draw(st.none() | st.sampled_from(TIMES))
    others = draw(st.lists(st.sampled_from([by for by in By if by not in TIMES]), unique=True, max_size=2))
    values = {By.CLIENT: "acme", By.TREE: "corp", By.PLAN: "free", By.TAG: "vip", By.ENDPOINT: "search"}
    filters = draw(st.sets(st.sampled_from([*values, By.POLICY]), max_size=1))
    given = tuple((by, (values | {By.POLICY: "tight"})[by]) for by in filters)
    return Report(begin, end, draw(st.sampled_from(ZONES)), tuple(by for by in (time, *others) if by), given)


def write(world: World, rolled_up: datetime | None) -> None:
    """Writes the world with the drain and the rollups, which run as the counts arrive."""
    for model in (RecordedClient, RecordedDefaultPlan, LateCount, Client):
        model.objects.all().delete()
    RecordedClient.objects.all().delete()
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, FIRST)
    _write_states(world)
    for number, count in enumerate(world.counts):
        if rolled_up:
            roll_up(min(rolled_up, count.arrived), seconds=600)
        with mock.patch.object(timezone, "now", return_value=count.arrived):
            drain.write({f"{id(world)}-{number}": _parcel(count)})
    if rolled_up:
        roll_up(rolled_up, seconds=600)


def _parcel(count: Count) -> dict[CountKey, int]:
    minute = round(count.minute.timestamp()) // 60
    modes = {"enforce": PolicyKind.DENIED, "shadow": PolicyKind.WOULD_DENY}
    kind = modes[count.mode] if count.mode else KINDS[count.outcome]
    return {CountKey(minute, kind, count.endpoint, count.policy, count.client): count.requests}


def _write_states(world: World) -> None:
    for client, found in world.states.items():
        for (begin, state), (end, _) in pairwise([*found, (None, None)]):
            if state:
                RecordedClient.objects.create(
                    client_key=client,
                    from_hour=begin,
                    until_hour=end,
                    plan=state.plan,
                    on_default=state.on_default,
                    tags=list(state.tags),
                    root=state.root,
                )
    for (begin, plan), (end, _) in pairwise([*world.default_plans, (None, None)]):
        if plan:
            RecordedDefaultPlan.objects.create(plan=plan, from_hour=begin, until_hour=end)


@pytest.fixture(autouse=True)
def hours_are_kept(settings: Any) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_HOURS": 400}


def order(found: Iterator[Row] | list[Row]) -> list[Row]:
    return sorted(found, key=lambda row: (row.is_adjustment, [str(value) for value in row.about]))


@history_settings(80)
@given(world=worlds(), asked=st.lists(reports(), min_size=1, max_size=6), rolled_up=st.none() | moments | st.just(NOW))
def test_reports_are_the_sums_of_the_counts(world: World, asked: list[Report], rolled_up: datetime | None) -> None:
    with transaction.atomic():
        write(world, rolled_up)
        for report in asked:
            assert order(rows(report, NOW)) == order(world.rows(report))
        transaction.set_rollback(True)


def test_sums_of_all_clients_equal_the_counts_by_day() -> None:
    """A client that was registered during a day is unregistered before."""
    noon = FIRST + 12 * HOUR
    early, late = (Count(at, "acme", "search", "admitted", 1, 1, at) for at in (noon - HOUR, noon + HOUR))
    world = World([early, late], {"acme": [(noon, State("pro", (), "acme"))]})
    write(world, NOW)
    assert UsageDay.objects.exists()
    report = Report(FIRST, FIRST + 24 * HOUR, by=(By.CLIENT,))
    assert [(row.about, row.figures[0]) for row in rows(report, NOW)] == [(("acme",), 1), ((None,), 1)]
