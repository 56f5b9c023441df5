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

    Rows: client, number of the endpoint (None: all of them together, if limits count all endpoints together), requests,
    most denied before and after, and arrays with numbers for each limit of the profile: the most that the policy of the
    limit denies before, the same after, the most that the limit denies, and the least by single minutes.
    """
    return _Sums(profile, minutes, endpoints).statement()


class _Sums:
    def __init__(self, profile: Profile, minutes: Range, endpoints: Mapping[str, int]) -> None:
        self.profile, self.minutes, self.endpoints = profile, minutes, endpoints
        self.limits = [(at, each) for at, each in enumerate(profile.limits)]
        self.own = [(at, each) for at, each in self.limits if each.endpoint in endpoints]
        self.wide = [(at, each) for at, each in self.limits if each.endpoint is None]
        self.before, self.after = (
            [at for at, each in self.limits if each in side] for side in (profile.before, profile.after)
        )

    def statement(self) -> str:
        counted = (
            "SELECT client, endpoint, minute, n FROM simulated_minutes WHERE client BETWEEN %(first)s AND %(last)s"
        )
        parts = [f"counted AS ({counted})", f"own AS ({self._beyond('counted', 'client, endpoint', self.own)})"]
        joined = "own"
        if self.wide:
            together = "SELECT client, minute, sum(n)::int AS n FROM counted GROUP BY client, minute"
            wide = self._beyond("together", "client", self.wide)
            parts += [f"together AS ({together})", f"wide AS MATERIALIZED ({wide})"]
            columns = ", ".join(["own.*", *(f"wide.x{at}" for at, _ in self.wide)])
            both = f"SELECT {columns} FROM own JOIN wide USING (client, minute)"  # noqa: S608
            parts.append(f"joined AS MATERIALIZED ({both})")
            joined = "joined"
        answer = self._by_endpoint(joined)
        if self.wide:
            answer += f" UNION ALL {self._by_client()}"
        return f"WITH {', '.join(parts)} {answer} ORDER BY 1, 2"

    def _beyond(self, table: str, partition: str, limits: Sequence[tuple[int, BoundedLimit]]) -> str:
        """The rows of a table with a column x… for each limit: how many requests it denies in the minute at most."""
        uppers = {at: upper_of(each.limit) for at, each in limits}
        if any(upper.count is Count.BUCKET for upper in uppers.values()):
            so_far = f"sum(n) OVER (PARTITION BY {partition} ORDER BY minute)::bigint AS so_far"
            table = f"(SELECT *, {so_far} FROM {table}) AS {table}"  # noqa: S608
        columns = [self._column(partition, at, each, uppers[at]) for at, each in limits]
        return f"SELECT {', '.join([partition, 'minute', 'n', *columns])} FROM {table}"  # noqa: S608

    def _column(self, partition: str, at: int, each: BoundedLimit, upper: Upper) -> str:
        counted = _counted(partition, each.limit, upper, self.minutes)
        value = f"least(n, greatest(0, {counted} - {upper.capacity}))"
        if each.endpoint is not None:
            value = f"CASE WHEN endpoint = {self.endpoints[each.endpoint]} THEN {value} ELSE 0 END"
        return f"({value})::bigint AS x{at}"

    def _by_endpoint(self, table: str) -> str:
        def most(side: Sequence[int]) -> str:
            own = [f"x{at}" for at, _ in self.own if at in side]
            return _capped([*own, *(f"least(n, x{at})" for at, _ in self.wide if at in side)])

        figures = self._figures(self.own, most)
        return f"SELECT client, endpoint, sum(n)::bigint, {figures} FROM {table} GROUP BY client, endpoint HAVING {self._any(most)}"  # noqa: S608, E501

    def _by_client(self) -> str:
        """Endpoints are summed by minute first, because a minute's requests are denied once."""
        own = {
            f"own_{name}": _capped([f"x{at}" for at, _ in self.own if at in side])
            for name, side in (("before", self.before), ("after", self.after))
        }
        columns = [f"sum({value}) AS {name}" for name, value in own.items()]
        columns += [f"min(x{at}) AS x{at}" for at, _ in self.wide]
        minutes = f"SELECT client, sum(n) AS n, {', '.join(columns)} FROM joined GROUP BY client, minute"  # noqa: S608

        def most(side: Sequence[int]) -> str:
            name = "own_before" if side is self.before else "own_after"
            return _capped([name, *(f"x{at}" for at, _ in self.wide if at in side)])

        figures = self._figures(self.wide, most)
        return f"SELECT client, NULL, sum(n)::bigint, {figures} FROM ({minutes}) AS minutes GROUP BY client HAVING {self._any(most)}"  # noqa: S608, E501

    def _any(self, most: Callable[[Sequence[int]], str]) -> str:
        return f"sum({most(self.before)}) > 0 OR sum({most(self.after)}) > 0"

    def _figures(self, limits: Sequence[tuple[int, BoundedLimit]], most: Callable[[Sequence[int]], str]) -> str:
        known = {at for at, _ in limits}

        def of_policy(side: Sequence[int]) -> list[str]:
            """For each limit what its policy denies."""
            return [
                _sum([f"x{other}" for other in side if self.profile.limits[other].policy == each.policy])
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
        sums = [f"sum({most(side)})::bigint" for side in (self.before, self.after)]
        return ", ".join([*sums, *(f"ARRAY[{', '.join(each)}]::bigint[]" for each in arrays)])

    def _least(self, at: int, each: BoundedLimit) -> str:
        if is_exact(each.limit):
            return f"sum(x{at})"
        block = single_minutes(each.limit)
        if block is None:
            return "0"
        if each.endpoint is None:
            return f"sum(greatest(0, n - {block.capacity}))"
        return f"sum(greatest(0, n - {block.capacity})) FILTER (WHERE endpoint = {self.endpoints[each.endpoint]})"


def _capped(columns: Sequence[str]) -> str:
    """What is denied together: each request once."""
    return f"least(n, {' + '.join(columns)})" if columns else "0"


def _sum(columns: Sequence[str]) -> str:
    return f"sum({_capped(columns)})"


def _counted(partition: str, limit: Limit, upper: Upper, minutes: Range) -> str:
    """The requests that count in a minute."""
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
