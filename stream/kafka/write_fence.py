"""The succession: our records follow one another where only we write, or somebody else did."""

from collections import Counter
from collections.abc import Mapping, Sequence

from stream.errors import FencedError
from stream.kafka.producer import Delivery

Place = tuple[str, int]  # topic, partition


class Succession:
    """Our records follow one another in the scores topic and in the changelog.

    What stands between them was sent by a worker that had lost the partition, and did not know.
    """

    def __init__(self) -> None:
        self._ends: dict[Place, int] = {}  # where our next record must stand
        self._under_way: Counter[Place] = Counter()

    def start_over(self, ends: Mapping[Place, int]) -> None:
        """Partitions are assigned anew: they end here; where is not known of the others."""
        self._ends = dict(ends)
        self._under_way.clear()

    def sends(self, topic: str, partition: int) -> None:
        """Records are on their way there."""
        self._under_way[topic, partition] += 1

    def follow(self, topic: str, deliveries: Sequence[Delivery]) -> None:
        """These are acknowledged; call in the order in which they were sent.

        Raises FencedError if they do not stand behind ours of before.
        """
        if not deliveries:
            return
        metadata = deliveries[-1].acknowledged.result()
        place = topic, int(metadata.partition)
        self._under_way[place] = max(0, self._under_way[place] - 1)
        end = int(metadata.offset) + deliveries[-1].records
        first = end - sum(delivery.records for delivery in deliveries)
        expected = self._ends.pop(place, None)
        if first < 0:  # a repeated request, of which the broker no longer knows the place
            return
        if expected is not None and expected != first:
            self._ends[place] = expected  # for a commit that is under way: nothing behind is ours
            raise fenced(place, first)
        self._ends[place] = end

    def ends(self, topic: str) -> dict[int, int]:
        """Per partition of a topic the end of what is ours, where it is known."""
        return {partition: end for (name, partition), end in self._ends.items() if name == topic}

    def at_rest(self) -> dict[Place, int]:
        """The ends of the partitions into which nothing is on its way."""
        return {place: end for place, end in self._ends.items() if not self._under_way[place]}


def fenced(place: Place, offset: int) -> FencedError:
    """Somebody else's records stand where ours should, and the last of them before this offset."""
    topic, partition = place
    return FencedError(
        f"{topic}: somebody else wrote to partition {partition} before offset {offset}, where only "
        "we should; a worker that was cut off does so once, another group again and again: give "
        "each group its own topic"
    )
