"""Compiling rows into the rules and client records that servers use, and delivering them."""
