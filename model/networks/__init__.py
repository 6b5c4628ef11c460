"""The networks: one architecture a file, each a ``PreTrainedModel`` with its own configuration."""
