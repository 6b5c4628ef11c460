"""The events topic as a log to train on: read once, judged as a worker would, written whole."""
