"""The scoring process: its wiring, its life, its health server."""
