"""Kafka clients, topics, security and fencing; knows no consumer group and no scorer."""
