"""The oracle: works out from the log alone what Lately must have written, and compares.

It reads topics, the JSON Schemas and the scorer, and shares no line of code with ``stream``:
every rule is written here a second time, one record at a time, in the plainest way.
"""
