"""The shapes in which an engine runs its graph: a few widths, and a few numbers of rows."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

WIDTHS = (8, 24)  # actions, before the widest; most sequences are short


class Shapes:
    """Cuts batches into parts, each with a width and a number of rows of its own.

    The width depends on a sequence's own length alone, because another width gives other bits.
    """

    def __init__(self, widest: int, rows: tuple[int, ...]) -> None:
        """``rows`` ascend; ``widest`` is the artifact's padded length."""
        self.widths = (*(width for width in WIDTHS if width < widest), widest)
        self.rows = rows

    def cut(self, lengths: Ints) -> Iterator[slice]:
        """The parts of sequences (B,) of these ascending lengths: of one width each."""
        bounds = np.searchsorted(lengths, self.widths, side="right").tolist()
        most = self.rows[-1]
        for begin, end in zip([0, *bounds[:-1]], bounds, strict=True):
            for start in range(begin, end, most):
                yield slice(start, min(start + most, end))

    def of(self, rows: int, width: int) -> tuple[int, int]:
        """The smallest shape for so many rows, padded to this width."""
        return (
            next(count for count in self.rows if count >= rows),
            next(wide for wide in self.widths if wide >= width),
        )
