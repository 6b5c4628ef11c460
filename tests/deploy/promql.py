"""Reads metric names out of PromQL, by taking away everything that is none."""

import re

_NOT_NAMES = [
    r'"[^"]*"',  # strings
    r"\{[^}]*\}",  # label matchers
    r"\[[^\]]*\]",  # ranges
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",  # lists of labels
    r"\b[a-zA-Z_]\w*\s*(?=\()",  # functions
    r"\b(?:and|or|unless|bool|offset)\b",
    r"\b\d[\w.]*",  # numbers and durations
]


def metric_names(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    for pattern in _NOT_NAMES:
        expression = re.sub(pattern, " ", expression)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", expression))
