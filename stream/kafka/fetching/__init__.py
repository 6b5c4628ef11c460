"""Fetching: what a consumer makes of the bytes of a fetch."""
