"""Evaluation: compares an artifact with every baseline on the same questions."""
