"""Insight into models and logs: similar items, explained scores, items bought together."""
