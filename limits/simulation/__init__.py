"""Simulations: how many recorded requests other rules would have denied, as bounds."""
