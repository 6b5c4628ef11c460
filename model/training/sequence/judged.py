"""The held-out windows that a training looks at to judge its network, and what time allows."""

from typing import NamedTuple

LEAST = 50  # windows, whatever the time
ROUNDS, JUDGING = 0.05, 0.15  # of the time: one round's validation, and the judgement in the end


class Judged(NamedTuple):
    """How many held-out windows each judgement looks at, at most."""

    weighed: int  # after each round, to balance the experts
    compared: int  # after each round, and for each balance, to compare them
    fitted: int  # in the end, to fit the balance, and to correct copy
    evaluated: int  # in the end, for calibration and the reported figures

    def within(self, left_s: float, window_s: float, there_are: int) -> "Judged":
        """As many as can be judged in their share of the time, at ``window_s`` for each."""

        def share(part: float, *windows: int) -> float:
            full_s = window_s * sum(min(count, there_are) for count in windows)
            return min(1.0, left_s * part / full_s) if full_s > 0 else 1.0

        each = share(ROUNDS, self.weighed, self.compared)
        last = share(JUDGING, *[self.fitted] * 2, *[self.compared] * 5, self.evaluated)
        parts = zip(self, (each, each, last, last), strict=True)
        return Judged(
            *(
                count if part == 1 else max(LEAST, int(min(count, there_are) * part))
                for count, part in parts
            )
        )


# Enough to distinguish two rounds, and for figures that barely depend on the sample.
ALL = Judged(weighed=3_000, compared=4_000, fitted=8_000, evaluated=50_000)
