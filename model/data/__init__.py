"""Reads, checks and cleans event logs and item lists, and turns them into numeric columns."""
