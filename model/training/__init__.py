"""Training: the data read from a log, the losses, and the stopping rules of each network."""
