"""Membership of the consumer group, through Faust; runs any partition handler."""
