"""The items, or categories, bought together: pairs in the same user's basket.

A basket is all that one user bought within one time window; windows are consecutive from 1970
on, so that 24 hours are the days in UTC. Support, confidence and lift are those of association
rules (Agrawal, Imieliński and Swami, "Mining Association Rules between Sets of Items in Large
Databases", SIGMOD 1993). Pairs are ranked by the evidence that they belong together, which grows
with the number of baskets, unlike lift: the log-likelihood ratio G² of the two items' 2 × 2 table
(Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", Computational
Linguistics 19, 1993), negative where they avoid each other.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

from model.errors import DataError

if TYPE_CHECKING:
    import polars as pl

By = Literal["item", "category"]

MOST_IN_BASKET = 100  # larger ones are resellers or bots, and their pairs grow with the square
HOUR_MS = 3_600_000


class Pair(NamedTuple):
    """Two items, or categories, of the same baskets; a rule from the first to the second."""

    first: str
    second: str
    baskets: int  # with both
    support: float  # share of all baskets that have both
    confidence: float  # share of the first's baskets that have the second too
    lift: float  # how many times as often as by chance they are together
    evidence: float  # G², signed: beyond 10.8 chance has it once in a thousand pairs


class Together(NamedTuple):
    """The pairs, the strongest evidence first, and the number of baskets."""

    pairs: list[Pair]
    baskets: int
    left_out: int  # baskets larger than MOST_IN_BASKET


def together(
    frame: "pl.LazyFrame",
    *,
    by: By = "item",
    action: str = "buy",
    window_h: float = 24.0,
    at_least: int = 5,
    only: str | None = None,
    top: int = 20,
) -> Together:
    """Count the pairs of a log's ``frame``; ``only`` restricts them to those that begin with it.

    Pairs in fewer than ``at_least`` baskets are left out. Raises ``DataError`` if nothing was
    bought, or the log has no categories.
    """
    import polars as pl

    baskets = _baskets(frame, by, action, window_h)
    sizes = baskets.group_by("basket").agg(size=pl.len())
    large = pl.col("size") > MOST_IN_BASKET
    n, left_out = sizes.select(pl.len(), large.sum()).collect(engine="streaming").row(0)
    if n == 0:
        raise DataError(_nothing(by, action))
    kept = baskets.join(sizes.filter(~large), on="basket").select("basket", "thing")
    rows = _pairs(kept, n - left_out, at_least, only)
    # Rounded, so that sums in another order do not change the order of equals.
    by_evidence = [pl.col("evidence").round(6), pl.col("count"), "first", "second"]
    best = rows.sort(by_evidence, descending=[True, True, False, False])
    found = best.head(top).collect(engine="streaming")
    if only is not None and found.is_empty():
        raise DataError(_never(kept, by, only, at_least))
    return Together([Pair(*row) for row in found.iter_rows()], n - left_out, left_out)


def _baskets(frame: "pl.LazyFrame", by: By, action: str, window_h: float) -> "pl.LazyFrame":
    """One row for each distinct item, or category, of a basket: ``basket``, ``thing``."""
    import polars as pl

    width_ms = max(1, round(window_h * HOUR_MS))
    thing = pl.col("item_id" if by == "item" else "category")
    return (
        frame.filter((pl.col("action") == action) & thing.is_not_null())
        .select(
            basket=pl.struct("user_id", (pl.col("ts") // width_ms).alias("window")),
            thing=thing,
        )
        .unique()
    )


def _pairs(baskets: "pl.LazyFrame", n: int, at_least: int, only: str | None) -> "pl.LazyFrame":
    import polars as pl

    counts = baskets.group_by("thing").agg(alone=pl.len())
    # An item that is rarer than the minimum count cannot be in a pair of that count.
    often = baskets.join(counts.filter(pl.col("alone") >= at_least), on="thing")
    left = often if only is None else often.filter(pl.col("thing") == only)
    # Without ``only``, each pair is listed once, with its names in order.
    order = pl.col("first") != pl.col("second") if only else pl.col("first") < pl.col("second")
    # As floats: products of counts exceed 32 bits.
    names = ("count", "alone", "alone_second")
    both, first, second = (pl.col(name).cast(pl.Float64) for name in names)
    return (
        left.rename({"thing": "first"})
        .join(often.rename({"thing": "second"}), on="basket", suffix="_second")
        .filter(order)
        .group_by("first", "second", "alone", "alone_second")
        .agg(count=pl.len())
        .filter(both >= at_least)
        .select(
            "first",
            "second",
            "count",
            support=both / n,
            confidence=both / first,
            lift=both * n / (first * second),
            evidence=_evidence(both, first, second, n),
        )
    )


def _evidence(both: "pl.Expr", first: "pl.Expr", second: "pl.Expr", n: int) -> "pl.Expr":
    """``±2 Σ o·log(o/e)`` over the four cells: observed counts o, e by chance."""
    import polars as pl

    neither = n - first - second + both
    cells = (
        (both, first * second / n),
        (first - both, first * (n - second) / n),
        (second - both, (n - first) * second / n),
        (neither, (n - first) * (n - second) / n),
    )
    terms = [pl.when(o > 0).then(o * (o / e).log()).otherwise(0.0) for o, e in cells]
    ratio = 2 * pl.sum_horizontal(terms).clip(lower_bound=0)
    return pl.when(both * n < first * second).then(-ratio).otherwise(ratio)


def _never(baskets: "pl.LazyFrame", by: By, only: str, at_least: int) -> str:
    import polars as pl

    mine = baskets.filter(pl.col("thing") == only).select(pl.len())
    found = int(mine.collect(engine="streaming").item())
    return (
        f"{by} {only!r} is in {found:,} baskets, but in no pair with {at_least:,} or more; give "
        "another, a smaller --min-count or a longer --window-h"
    )


def _nothing(by: By, action: str) -> str:
    if by == "category":
        return f"no event with the action {action} has a category; use --by item or another log"
    return f"no event has the action {action}; give another --action or another log"
