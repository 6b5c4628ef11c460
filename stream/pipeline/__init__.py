"""The path of an event inside the worker: validate, fold, batch, score, deliver."""
