"""Whole servers, asked over HTTP, as a user would."""
