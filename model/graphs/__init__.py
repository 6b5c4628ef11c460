"""The graphs: what of a network is exported and served."""
