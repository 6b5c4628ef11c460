"""The baselines a model must beat: simple rankers, fitted on events alone within seconds."""

from collections.abc import Mapping

from model.baselines import newest_first, newest_then_rules, popularity, rules, vsknn
from model.baselines.baseline import NOTHING, Baseline, Fit, Prefixes, Ranked

__all__ = ["BASELINES", "NOTHING", "Baseline", "Fit", "Prefixes", "Ranked"]

BASELINES: Mapping[str, Fit] = {
    "popularity": popularity.fit,
    "newest_first": newest_first.fit,
    "rules": rules.fit,
    "newest_then_rules": newest_then_rules.fit,
    "vsknn": vsknn.fit,
}
