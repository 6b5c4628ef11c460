"""The committed offset of a partition, with the metadata that Kafka stores beside it."""

from typing import NamedTuple


class OffsetMetadata(NamedTuple):
    """One partition's commit, named as in Kafka's protocol.

    Kafka stores ``metadata`` as it is; only the handler that wrote it knows what it means.
    """

    offset: int  # of the next record to read
    metadata: str = ""
