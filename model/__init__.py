"""What a user wants next, from what they did lately; knows nothing of Kafka."""
