"""Tags as people type them, and the tags in use, for suggestions."""

from django.db import connection

NEWEST_CLIENTS = 1_000
"""The number of clients whose tags are read."""

_KNOWN_TAGS = """
    SELECT DISTINCT tag FROM (
        SELECT unnest(tags) FROM limits_segmentoverride
        UNION ALL
        SELECT unnest(tags) FROM (SELECT tags FROM limits_client ORDER BY id DESC LIMIT %s) AS newest
        UNION ALL
        SELECT unnest(most_common_elems::text::text[]) FROM pg_stats
        WHERE schemaname = current_schema() AND tablename = 'limits_client' AND attname = 'tags'
    ) AS known (tag) ORDER BY tag
"""


def typed_tags(text: str) -> list[str]:
    """Returns the tags in ``text``, which spaces or commas separate: in lower case, sorted, without duplicates. They
    need not be valid."""
    return sorted(set(text.lower().replace(",", " ").split()))


def known_tags() -> list[str]:
    """Returns the tags of the newest clients and of overrides, and the most frequent tags by PostgreSQL's statistics.
    Reading the tags of a million clients would take too long."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN_TAGS, [NEWEST_CLIENTS])
        return [tag for (tag,) in cursor.fetchall()]
