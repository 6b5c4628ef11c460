"""The vectors of titles that there is time to encode: those of the most popular items first."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.networks.text_encoder import TextEncoder, Vectors
from model.training.time_limit import TimeLimit

ENCODING = 0.25  # of the time that is left
AT_ONCE = 256  # texts between two looks at the clock


def encode_within(
    limit: TimeLimit, encoder: TextEncoder, texts: Sequence[str], counts: npt.NDArray[np.int64]
) -> tuple[Vectors, list[int]]:
    """Encode the texts (N,) of items with these counts (N,), as many as the time allows.

    Returns the vectors (N, D), and the indices of the texts that were left out, whose vectors are
    0 as those of blank ones. Without a limit none is.
    """
    if limit.minutes is None:
        return encoder.encode(texts), []
    ends_s = limit.spent_s() + ENCODING * max(limit.left_s(), 0.0)
    vectors = np.zeros((len(texts), encoder.width), dtype=np.float32)
    order = [number for number in np.argsort(-counts, kind="stable") if texts[number].strip()]
    for start in range(0, len(order), AT_ONCE):
        if start and limit.spent_s() >= ends_s:
            return vectors, [int(number) for number in order[start:]]
        numbers = order[start : start + AT_ONCE]
        vectors[numbers] = encoder.encode([texts[number] for number in numbers])
    return vectors, []
