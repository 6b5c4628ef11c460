"""PromQL: the expressions that panels share."""

HERE = '{instance=~"$instance"}'


def rate(counter: str, by: str) -> str:
    """The counter's rate for each value of a label."""
    return f"sum by ({by}) (rate({counter}{HERE}[$__rate_interval]))"


def total(counter: str) -> str:
    """The counter's rate over all its labels."""
    return f"sum(rate({counter}{HERE}[$__rate_interval]))"


def share(counter: str, match: str) -> str:
    """The share of a counter's increase that has these labels, over five minutes."""
    part = f"sum(increase({counter}{HERE[:-1]}, {match}}}[5m]))"
    return f"{part} / sum(increase({counter}{HERE}[5m]))"


def quantile(level: float, histogram: str) -> str:
    """A quantile of the histogram over all workers."""
    return (
        f"histogram_quantile({level}, "
        f"sum by (le) (rate({histogram}_bucket{HERE}[$__rate_interval])))"
    )


def quantiles(histogram: str) -> dict[str, str]:
    """Median, 95th and 99th percentile, each with its legend."""
    return {f"p{q * 100:.0f}": quantile(q, histogram) for q in (0.5, 0.95, 0.99)}
