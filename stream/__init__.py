"""The way of an event: in, validate, state, batch, score, publish."""
