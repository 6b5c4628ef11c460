"""The model's commands: one group per file, mounted by ``model.cli``."""
