"""The model of a worker: what it may accept, how it is loaded, measured and exchanged."""
