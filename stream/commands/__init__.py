"""The commands other than the worker, one module each."""
