"""The temporary tables of a simulation, in the connection of its process: they vanish with it.

Usage is read twice, from the beginning to the end: once to find out which clients may be denied anything, and once to
sort the minutes of these by client, so that each chunk of clients is then read in one piece. PostgreSQL sorts on disk
where its memory does not suffice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connection
from psycopg.sql import SQL, Identifier

from limits.simulation.subjects import Recorded

WORK_MEMORY = "128MB"
"""The memory of one sort or hash table in PostgreSQL."""
STATEMENT_TIMEOUT = "15min"
_SETTINGS = {"work_mem": WORK_MEMORY, "statement_timeout": STATEMENT_TIMEOUT}
_TABLES = ("simulated_usage", "simulated_endpoints", "simulated_clients", "simulated_minutes")
_ROWS_AT_A_TIME = 5_000

_USAGE = """
    CREATE TEMPORARY TABLE simulated_usage AS
    SELECT client_key, endpoint, sum(requests)::bigint AS requests, max(requests)::bigint AS peak,
        count(*)::bigint AS rows, bool_and(cost = requests) AS has_unit_cost
    FROM limits_usage
    WHERE minute >= %(begin)s AND minute < %(end)s AND outcome IN ('admitted', 'denied')
        AND (%(lanes)s = 1 OR mod(hashtext(client_key) & 65535, %(lanes)s) = %(lane)s)
    GROUP BY client_key, endpoint
"""
_ENDPOINTS = """
    CREATE TEMPORARY TABLE simulated_endpoints AS
    SELECT endpoint, (row_number() OVER (ORDER BY endpoint))::int AS number
    FROM (SELECT DISTINCT endpoint FROM simulated_usage) AS found
"""
_CLIENTS = """
    CREATE TEMPORARY TABLE simulated_clients (number bigint NOT NULL, client_key text NOT NULL, plan text NOT NULL)
"""
_MINUTES = """
    CREATE TEMPORARY TABLE simulated_minutes AS
    SELECT clients.number AS client, endpoints.number AS endpoint, (date_part('epoch', minute) / 60)::int AS minute,
        sum(usage.requests)::int AS n
    FROM limits_usage AS usage
    JOIN simulated_clients AS clients USING (client_key) JOIN simulated_endpoints AS endpoints USING (endpoint)
    WHERE minute >= %(begin)s AND minute < %(end)s AND outcome IN ('admitted', 'denied')
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


class SimulatedKey(NamedTuple):
    """A client that may be denied something: its number in the tables, its key and its plan."""

    number: int
    client_key: str
    plan: str


@contextmanager
def own_tables() -> Iterator[None]:
    """Within this context there are no tables of an earlier simulation, and afterwards none of this one."""
    _drop()
    with connection.cursor() as cursor:
        for name, value in _SETTINGS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
    yield
    # After an error the tables stay until the next simulation, or until the connection ends.
    _drop()
    with connection.cursor() as cursor:
        for name in _SETTINGS:
            cursor.execute(SQL("RESET {}").format(Identifier(name)))


def _drop() -> None:
    with connection.cursor() as cursor:
        for name in _TABLES:
            cursor.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier("pg_temp", name)))


def _execute(statement: str, parameters: dict[str, Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def summarize(begin: datetime, end: datetime, lane: int, lanes: int) -> None:
    """Sums the usage of each client on each endpoint, of one of several equal parts of the clients."""
    _execute(_USAGE, {"begin": begin, "end": end, "lane": lane, "lanes": lanes})
    _execute("CREATE INDEX ON simulated_usage (client_key)")
    _execute(_ENDPOINTS)
    _execute(_CLIENTS)
    _execute("ANALYZE simulated_usage, simulated_endpoints")


def numbers_of_endpoints() -> dict[str, int]:
    """Endpoint → its number in the tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT endpoint, number FROM simulated_endpoints")
        return dict(cursor.fetchall())


def recorded_clients() -> Iterator[list[tuple[str, list[Recorded]]]]:
    """Yields all clients with usage, some at a time: the key, and what was recorded on each endpoint."""
    last: str | None = None
    while keys := _keys_after(last):
        last = keys[-1]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT client_key, endpoint, requests, peak, rows, has_unit_cost FROM simulated_usage "
                "WHERE client_key = ANY(%s) ORDER BY client_key",
                [keys],
            )
            rows = cursor.fetchall()
        yield [(key, [Recorded(*row[1:]) for row in of_key]) for key, of_key in groupby(rows, key=lambda row: row[0])]


def _keys_after(last: str | None) -> list[str]:
    where = "" if last is None else "WHERE client_key > %(last)s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT client_key FROM simulated_usage {where} ORDER BY 1 LIMIT {_ROWS_AT_A_TIME}",  # noqa: S608
            {"last": last},
        )
        return [key for (key,) in cursor.fetchall()]


def add_clients(clients: Sequence[SimulatedKey]) -> None:
    """Adds clients whose minutes are needed."""
    with connection.cursor() as cursor, cursor.copy("COPY simulated_clients FROM STDIN") as copy:
        for client in clients:
            copy.write_row(client)


def sort_minutes(begin: datetime, end: datetime) -> None:
    """Copies the minutes of these clients, sorted by client."""
    _execute("CREATE INDEX ON simulated_clients (number)")
    _execute("ANALYZE simulated_clients")
    _execute(_MINUTES, {"begin": begin, "end": end})
    _execute("CREATE INDEX ON simulated_minutes USING brin (client) WITH (pages_per_range = 16)")
    _execute("ANALYZE simulated_minutes")


def keys_of(numbers: Iterable[int]) -> dict[int, SimulatedKey]:
    """Number → client."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, client_key, plan FROM simulated_clients WHERE number = ANY(%s)", [list(numbers)])
        return {row[0]: SimulatedKey(*row) for row in cursor.fetchall()}


def requests_of(numbers: Iterable[int]) -> dict[int, dict[str, int]]:
    """Number of a client → endpoint → requests."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, endpoint, usage.requests FROM simulated_clients "
            "JOIN simulated_usage AS usage USING (client_key) WHERE number = ANY(%s)",
            [list(numbers)],
        )
        for number, endpoint, requests in cursor.fetchall():
            found[number][endpoint] = requests
    return found


def rows_of(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement over these tables."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
