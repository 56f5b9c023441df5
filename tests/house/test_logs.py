"""A line for each event that matters, the same whoever writes it."""

import json
import logging

from ratelimit_platform.logs import logging_config


def test_what_the_data_plane_logs_for_people_is_an_event_with_fields_here() -> None:
    formatter = dict(logging_config("json")["formatters"]["lines"])
    make = formatter.pop("()")
    record = logging.makeLogRecord(
        {"name": "limits.store", "levelname": "WARNING", "levelno": 30, "msg": "store_away: %s", "args": ("refused",)}
        | {"event": "store_away", "error": "refused"}
    )
    line = json.loads(make(**formatter).format(record))
    del line["timestamp"]
    assert line == {"event": "store_away", "error": "refused", "level": "warning", "logger": "limits.store"}
