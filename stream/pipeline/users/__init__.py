"""The users of a partition: on the native core, and in Python, which is the reference."""
