"""Everything that touches Redis: keys, bytes, scripts and connections. Nothing else may."""
