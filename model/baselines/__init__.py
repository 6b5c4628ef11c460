"""What a model must beat: simple scorers, each of which answers like the model itself."""

from collections.abc import Callable, Mapping

from model.artifact import Artifact
from model.baselines.popularity import PopularityScorer
from model.scorer import Scorer

__all__ = ["BASELINES"]

BASELINES: Mapping[str, Callable[[Artifact], Scorer]] = {"popularity": PopularityScorer}
