"""The graphs: the form in which a network is exported and served."""
