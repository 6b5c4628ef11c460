"""The artifact: a model as one folder on disk, and the contents of its files."""
