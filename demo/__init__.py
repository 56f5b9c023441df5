"""A small shop that obeys the limits, and somebody who visits it."""
