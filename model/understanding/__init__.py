"""What a model has learnt, for people: similar items, why a score, and what is bought together."""
