"""The artifact: a model as one folder on disk, and what is in it."""
