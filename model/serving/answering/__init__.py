"""Answering: what the outputs of a network become."""
