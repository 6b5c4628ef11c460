"""The model's commands: one group a file, mounted by ``model.cli``."""
