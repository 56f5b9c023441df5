"""Everything that uses Redis: keys, bytes, scripts and connections. No other package may."""
