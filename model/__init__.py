"""Predicts what a user wants next from their recent actions; independent of Kafka."""
