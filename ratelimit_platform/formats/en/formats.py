"""Dates that nobody takes for another day, and a day of 24 hours."""

DATE_FORMAT, TIME_FORMAT, DATETIME_FORMAT = "j M Y", "H:i", "j M Y, H:i"
