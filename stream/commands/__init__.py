"""The commands beside the worker, one module each."""
