"""Unambiguous dates, and the 24-hour clock, with the time zone."""

DATE_FORMAT, TIME_FORMAT, DATETIME_FORMAT = "j M Y", "H:i", "j M Y, H:i T"
