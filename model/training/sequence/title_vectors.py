"""The title vectors: a catalogue's titles, encoded by a frozen text encoder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import NO_CATEGORY, Catalogue
from model.errors import ScorerError
from model.training.time_limit import NO_LIMIT, TimeLimit

if TYPE_CHECKING:
    from model.training.plan import Plan
    from model.training.training_data import TrainingData

Source = dict[str, str]  # the fields of a text_encoder.TextSource


class TitleVectors(NamedTuple):
    """Vectors by catalogue index, and the encoder that made them."""

    vectors: npt.NDArray[np.float16] | None  # (V, W), 0 for an item without a title
    source: Source | None  # the encoder, None without vectors
    unused: str | None = None  # one line that says why existing titles are not used

    @property
    def made(self) -> dict[str, object]:
        """The manifest's record of the titles."""
        record = {"titles": self.source, "titles_unused": self.unused}
        return {name: value for name, value in record.items() if value}


NO_TITLES = TitleVectors(None, None)


def read_title_vectors(
    data: "TrainingData", plan: "Plan", limit: TimeLimit = NO_LIMIT
) -> TitleVectors:
    """Encode the titles, once for all networks of a run, those of popular items first.

    Raises ``ScorerError`` if the encoder named cannot be loaded. If none is named and the package
    is not installed, titles are not used.
    """
    titles = own_titles(data.catalogue, data.texts)
    if not plan.texts or not any(titles):
        return NO_TITLES
    from model.networks.text_encoder import (
        TextEncoder,  # lazily: a log without titles needs no encoder
    )

    try:
        encoder = TextEncoder.open(plan.encoder, plan.device)
    except ScorerError as error:
        if plan.encoder is not None:
            raise
        return NO_TITLES._replace(unused=f"titles are not used: {error}")
    from model.training.text.titles import encode_within

    vectors, left_out = encode_within(limit, encoder, titles, data.counts)
    unused = None
    if left_out:
        unused = (
            f"--minutes left no time for the titles of {len(left_out):,} of {len(titles):,} items, "
            "the least popular ones"
        )
    return TitleVectors(vectors.astype(np.float16), encoder.source._asdict(), unused)


def own_titles(catalogue: Catalogue, texts: Sequence[str]) -> list[str]:
    """The texts, blank where one only repeats the category, which is an attribute already."""
    categories = (*catalogue.categories, "")
    assert NO_CATEGORY == -1, "no category is the last name"
    indices = catalogue.item_categories.tolist()
    return [
        "" if text == categories[index] else text
        for text, index in zip(texts, indices, strict=True)
    ]
