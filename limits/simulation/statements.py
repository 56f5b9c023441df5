"""The SQL of a simulation: bounds of the clients of one profile, from their counts by minute.

The table ``simulated_minutes`` (:mod:`limits.simulation.tables`) has the columns client, endpoint, minute (since 1970)
and n (requests). Limits are numbers in the statements, because they differ from profile to profile, and because the
frame of a window function cannot be a parameter. No text from outside is part of a statement.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from limits.simulation.bounds import Block, Count, Upper, blocks_of, is_exact, upper_of
from limits.simulation.subjects import BoundedLimit, Profile
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import SECOND_US, Limit

_MINUTE_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Range:
    """Minutes since 1970, from the first to the last, both included."""

    first: int
    last: int

    def starts_of_periods(self, limit: Limit) -> list[int]:
        """The minutes in which the periods of a calendar limit begin, from that of the first minute on."""
        starts, at = list[int](), self.first * _MINUTE_US
        while at <= self.last * _MINUTE_US:
            start, at = window_bounds(limit, at)
            starts.append(start // _MINUTE_US)
        return starts


def single_minutes(limit: Limit) -> Block | None:
    """The block of one minute that bounds the limit from below, which needs no statement of its own."""
    return next((block for block in blocks_of(limit) if block.minutes == 1), None)


def longer_blocks(limit: Limit) -> list[Block]:
    """The blocks of several minutes that bound the limit from below."""
    return [block for block in blocks_of(limit) if block.minutes > 1]


def sums_of(profile: Profile, minutes: Range, endpoints: Mapping[str, int]) -> str:
    """The statement that sums what the limits of a profile deny at most, and at least within single minutes, for the
    clients from ``%(first)s`` to ``%(last)s``. ``endpoints``: slug → number in the table.

    Rows: client, number of the endpoint (None: all of them together, if limits count them together), the most that is
    denied before and after, and arrays with a number for each limit of the profile: the most that its policy denies
    before, the same after, the most that the limit denies, and the least by single minutes.
    """
    return _Sums(profile, minutes, endpoints).statement()


_OF_CHUNK = "client BETWEEN %(first)s AND %(last)s"
Numbered = tuple[int, BoundedLimit]


class _Sums:
    """Writes the statement. The limit with number 3 has the column x3: how many requests it denies in a minute at most.
    Minutes in which no limit denies anything are dropped as soon as that is known, which is most of them."""

    def __init__(self, profile: Profile, minutes: Range, endpoints: Mapping[str, int]) -> None:
        self.profile, self.minutes, self.endpoints = profile, minutes, endpoints
        self.limits: list[Numbered] = list(enumerate(profile.limits))
        self.own = [(at, each) for at, each in self.limits if each.endpoint in endpoints]
        self.wide = [(at, each) for at, each in self.limits if each.endpoint is None]
        self.before, self.after = (
            [at for at, each in self.limits if each in side] for side in (profile.before, profile.after)
        )

    def statement(self) -> str:
        parts = [f"own AS MATERIALIZED ({self._own()})"] if self.own else []
        if self.wide:
            parts += [f"wide AS MATERIALIZED ({self._wide()})", f"met AS ({self._met()})"]
        if self.own and self.wide:
            parts += [f"denied AS ({self._own_or_met()})", f"by_minute AS ({self._own_by_minute()})"]
        rows = "denied" if self.own and self.wide else "own" if self.own else "met"
        answer = self._by_endpoint(rows)
        if self.wide:
            answer += f" UNION ALL {self._by_client()}"
        return f"WITH {', '.join(parts)} {answer} ORDER BY 1, 2"

    def _own(self) -> str:
        """The denied requests of limits on one endpoint. Endpoints with the same windows are read together."""
        groups: dict[frozenset[str], list[str]] = {}
        for name in dict.fromkeys(each.endpoint for _, each in self.own if each.endpoint is not None):
            windows = frozenset(self._counted(each) for _, each in self.own if each.endpoint == name)
            groups.setdefault(windows, []).append(name)
        return " UNION ALL ".join(map(self._own_of, groups.values()))

    def _own_of(self, names: Sequence[str]) -> str:
        numbers = ", ".join(str(self.endpoints[name]) for name in names)
        rows = (
            f"SELECT client, endpoint, minute, n FROM simulated_minutes WHERE {_OF_CHUNK} AND endpoint IN ({numbers})"  # noqa: S608
        )
        limits = [(at, each) for at, each in self.own if each.endpoint in names]
        known = {at for at, _ in limits}
        columns = ", ".join(f"x{at}" if at in known else f"0::bigint AS x{at}" for at, _ in self.own)
        beyond = self._beyond(rows, limits)
        return f"SELECT client, endpoint, minute, n, {columns} FROM ({beyond}) AS beyond WHERE {_any_of(limits)}"  # noqa: S608

    def _wide(self) -> str:
        """The denied requests of limits on all endpoints together."""
        rows = (
            f"SELECT client, minute, sum(n)::int AS n FROM simulated_minutes WHERE {_OF_CHUNK} GROUP BY client, minute"  # noqa: S608
        )
        return f"SELECT * FROM ({self._beyond(rows, self.wide)}) AS beyond WHERE {_any_of(self.wide)}"  # noqa: S608

    def _beyond(self, rows: str, limits: Sequence[Numbered]) -> str:
        """The rows with a column for each of these limits."""
        if any(upper_of(each.limit).count is Count.BUCKET for _, each in limits):
            so_far = f"sum(n) OVER (PARTITION BY {_partition(limits[0][1])} ORDER BY minute)::bigint AS so_far"
            rows = f"SELECT *, {so_far} FROM ({rows}) AS rows"  # noqa: S608
        columns = ", ".join(f"{self._column(each)} AS x{at}" for at, each in limits)
        return f"SELECT *, {columns} FROM ({rows}) AS rows"  # noqa: S608

    def _column(self, each: BoundedLimit) -> str:
        value = f"least(n, greatest(0, {self._counted(each)} - {upper_of(each.limit).capacity}))::bigint"
        if each.endpoint is None:
            return value
        return f"CASE WHEN endpoint = {self.endpoints[each.endpoint]} THEN {value} ELSE 0 END"

    def _counted(self, each: BoundedLimit) -> str:
        return _counted(_partition(each), each.limit, self.minutes)

    def _met(self) -> str:
        """The requests of each endpoint in minutes in which limits on all endpoints deny some."""
        columns = ", ".join(f"wide.x{at}" for at, _ in self.wide)
        return (
            f"SELECT minutes.client, endpoint, minutes.minute, minutes.n, {columns} FROM simulated_minutes AS minutes "  # noqa: S608
            f"JOIN wide USING (client, minute) WHERE minutes.{_OF_CHUNK}"
        )

    def _own_or_met(self) -> str:
        columns = ", ".join(f"coalesce(x{at}, 0) AS x{at}" for at, _ in self.limits if at in self._present)
        return (
            f"SELECT client, endpoint, minute, coalesce(own.n, met.n) AS n, {columns} "  # noqa: S608
            "FROM own FULL JOIN met USING (client, endpoint, minute)"
        )

    @property
    def _present(self) -> set[int]:
        return {at for at, _ in (*self.own, *self.wide)}

    def _own_by_minute(self) -> str:
        """Endpoints are summed by minute first, because a minute's requests are denied once."""
        sums = ", ".join(
            f"sum({_capped([f'x{at}' for at, _ in self.own if at in side])})::bigint AS own_{name}"
            for name, side in (("before", self.before), ("after", self.after))
        )
        return f"SELECT client, minute, {sums} FROM own GROUP BY client, minute"  # noqa: S608

    def _by_endpoint(self, rows: str) -> str:
        def most(side: Sequence[int]) -> str:
            own = [f"x{at}" for at, _ in self.own if at in side]
            return _capped([*own, *(f"least(n, x{at})" for at, _ in self.wide if at in side)])

        return self._grouped(rows, "endpoint", self.own, most)

    def _by_client(self) -> str:
        wide = ", ".join(f"coalesce(x{at}, 0) AS x{at}" for at, _ in self.wide)
        if self.own:
            # Where the limits on all endpoints deny nothing, the others are below the requests of the minute anyway.
            n = "coalesce(n, greatest(own_before, own_after))"
            own = "coalesce(own_before, 0) AS own_before, coalesce(own_after, 0) AS own_after"
            rows = f"SELECT client, {n} AS n, {own}, {wide} FROM wide FULL JOIN by_minute USING (client, minute)"  # noqa: S608
        else:
            rows = f"SELECT client, n, 0 AS own_before, 0 AS own_after, {wide} FROM wide"  # noqa: S608

        def most(side: Sequence[int]) -> str:
            name = "own_before" if side is self.before else "own_after"
            return _capped([name, *(f"x{at}" for at, _ in self.wide if at in side)])

        return self._grouped(f"({rows}) AS by_client", "NULL::int", self.wide, most)

    def _grouped(
        self, rows: str, endpoint: str, limits: Sequence[Numbered], most: Callable[[Sequence[int]], str]
    ) -> str:
        sums = [f"sum({most(side)})::bigint" for side in (self.before, self.after)]
        having = " OR ".join(f"{each} > 0" for each in sums)
        return (
            f"SELECT client, {endpoint}, {', '.join(sums)}, {self._arrays(limits)} FROM {rows} "  # noqa: S608
            f"GROUP BY 1, 2 HAVING {having}"
        )

    def _arrays(self, limits: Sequence[Numbered]) -> str:
        known = {at for at, _ in limits}

        def of_policy(side: Sequence[int]) -> list[str]:
            """For each limit what its policy denies."""
            return [
                f"sum({_capped([f'x{other}' for other in side if self.profile.limits[other].policy == each.policy])})"
                if at in known and at in side
                else "0"
                for at, each in self.limits
            ]

        arrays = [
            of_policy(self.before),
            of_policy(self.after),
            [f"sum(x{at})" if at in known else "0" for at, _ in self.limits],
            [self._least(at, each) if at in known else "0" for at, each in self.limits],
        ]
        return ", ".join(f"ARRAY[{', '.join(each)}]::bigint[]" for each in arrays)

    def _least(self, at: int, each: BoundedLimit) -> str:
        """By single minutes. In a minute with more requests than such a block admits, the limit denies some."""
        if is_exact(each.limit):
            return f"sum(x{at})"
        block = single_minutes(each.limit)
        if block is None:
            return "0"
        beyond = f"sum(greatest(0, n - {block.capacity}))"
        return beyond if each.endpoint is None else f"{beyond} FILTER (WHERE x{at} > 0)"


def _partition(each: BoundedLimit) -> str:
    return "client" if each.endpoint is None else "client, endpoint"


def _any_of(limits: Sequence[Numbered]) -> str:
    return f"{' + '.join(f'x{at}' for at, _ in limits)} > 0"


def _capped(columns: Sequence[str]) -> str:
    """What is denied together: each request once."""
    return f"least(n, {' + '.join(columns)})" if columns else "0"


def _counted(partition: str, limit: Limit, minutes: Range) -> str:
    """The requests that count in a minute."""
    upper = upper_of(limit)
    match upper.count:
        case Count.BEFORE:
            frame = f"RANGE BETWEEN {upper.minutes} PRECEDING AND CURRENT ROW"
            return f"sum(n) OVER (PARTITION BY {partition} ORDER BY minute {frame})"
        case Count.PERIOD:
            return f"sum(n) OVER (PARTITION BY {partition}, {_period(limit, upper, minutes)} ORDER BY minute)"
        case Count.BUCKET:
            return _counted_in_bucket(partition, upper, minutes)


def _period(limit: Limit, upper: Upper, minutes: Range) -> str:
    if limit.algorithm is Algorithm.CALENDAR:
        starts = ", ".join(map(str, minutes.starts_of_periods(limit)))
        return f"width_bucket(minute, ARRAY[{starts}]::int[])"
    return f"minute / {upper.minutes}"


def _counted_in_bucket(partition: str, upper: Upper, minutes: Range) -> str:
    """The most since any minute. The refill is a fraction, so everything is multiplied by its denominator."""
    scale, refill = upper.refill.denominator, upper.refill.numerator
    minute = f"(minute - {minutes.first})::bigint"
    frame = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    earlier = (
        f"max({refill} * {minute} - {scale} * (so_far - n)) OVER (PARTITION BY {partition} ORDER BY minute {frame})"
    )
    beyond = f"{earlier} + {scale} * so_far - {refill} * ({minute} - 1)"
    return f"greatest(n, ({beyond} + {scale - 1}) / {scale})"


def least_in_blocks(block: Block, endpoint: int | None) -> str:
    """The statement that sums what a limit denies at least in blocks of minutes, for the clients ``%(clients)s``: rows
    of client and requests. ``endpoint``: its number in the table; None: all."""
    where = "" if endpoint is None else f"AND endpoint = {endpoint}"
    counted = f"SELECT client, minute, sum(n) AS n FROM simulated_minutes WHERE client = ANY(%(clients)s) {where} GROUP BY 1, 2"  # noqa: S608, E501
    return (_ALIGNED if block.aligned else _ANY_BEGINNING).format(
        counted=counted, length=block.minutes, capacity=block.capacity
    )


_ALIGNED = """
    WITH counted AS ({counted}),
    blocks AS (SELECT client, sum(n) - {capacity} AS beyond FROM counted GROUP BY client, minute / {length})
    SELECT client, sum(beyond)::bigint FROM blocks WHERE beyond > 0 GROUP BY client
"""

# A row of usage is in the blocks that begin in its minute or up to `length - 1` before. Between such beginnings nothing
# changes, so blocks are computed for runs of beginnings, none of which is longer than a block. The sum over all blocks
# at one offset changes only at the edges of runs.
_ANY_BEGINNING = """
    WITH counted AS ({counted}),
    changes AS (
        SELECT client, minute - {length} + 1 AS at, n FROM counted
        UNION ALL SELECT client, minute + 1, -n FROM counted
    ),
    runs AS (
        SELECT client, at, lead(at) OVER beginnings - at AS length, sum(sum(n)) OVER beginnings - {capacity} AS beyond
        FROM changes GROUP BY client, at WINDOW beginnings AS (PARTITION BY client ORDER BY at)
    ),
    denying AS (
        SELECT client, mod(at, {length}) AS first, mod(at, {length}) + length AS until, beyond
        FROM runs WHERE beyond > 0
    ),
    edges AS (
        SELECT client, first AS at, beyond FROM denying
        UNION ALL SELECT client, until, -beyond FROM denying WHERE until < {length}
        UNION ALL SELECT client, 0, beyond FROM denying WHERE until > {length}
        UNION ALL SELECT client, until - {length}, -beyond FROM denying WHERE until > {length}
    ),
    offsets AS (
        SELECT client, sum(sum(beyond)) OVER (PARTITION BY client ORDER BY at) AS least FROM edges GROUP BY client, at
    )
    SELECT client, max(least)::bigint FROM offsets GROUP BY client
"""
