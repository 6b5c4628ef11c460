"""The streaming scorer: events in, validate, update state, batch, score, publish."""
