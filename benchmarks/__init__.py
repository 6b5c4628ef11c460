"""Benchmarks: speed against alternatives for the same job, in one run on one machine."""
