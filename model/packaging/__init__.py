"""Packaging: export a network, extend an artifact with new items, shrink it for CPUs."""
