"""The attributes: what an item file says of items besides id, category and title.

Each becomes a text ``column=value``, and a network tells items by those they share. A column of
numbers is left out where it measures rather than names: if any of them has a fraction (a price),
or if more than half of its values are different from all others (a stock, a time). So is a column
of other values, of which nearly every item has its own (an address).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KNOWN_COLUMNS = frozenset({"item_id", "category", "title"})
MOST_DISTINCT_NUMBERS = 0.5  # of a column's values; above, it measures
MOST_DISTINCT = 0.9  # of other values
FEW = 20  # values, of which nobody can tell whether each item has its own

Row = Mapping[str, Any]
Values = tuple[str, ...]


def naming_columns(rows: Sequence[Row]) -> list[str]:
    """The columns that say what an item is like, in the order in which they turn up."""
    columns = {name: _filled(row.get(name) for row in rows) for name in further_columns(rows)}
    return [name for name, values in columns.items() if _names(values)]


def further_columns(rows: Sequence[Row]) -> list[str]:
    """All columns but the known ones, in the order in which they turn up."""
    # CSV keeps what stands in a row behind its last column under None.
    names = (name for row in rows for name in row if name and name not in KNOWN_COLUMNS)
    return list(dict.fromkeys(names))


def attributes(row: Row, columns: Iterable[str]) -> Values:
    """``column=value`` of each of these columns that the row fills; a list gives several."""
    found = (f"{name}={value}" for name in columns for value in _texts(row.get(name)))
    return tuple(dict.fromkeys(found))


def _names(values: list[str]) -> bool:
    if not values:
        return False
    numbers = [_number(value) for value in values]
    single = sum(count == 1 for count in Counter(values).values()) / len(values)
    if None not in numbers:
        whole = all(number is not None and number == int(number) for number in numbers)
        return whole and single <= MOST_DISTINCT_NUMBERS
    return len(values) < FEW or single <= MOST_DISTINCT


def _filled(cells: Iterable[Any]) -> list[str]:
    return [text for cell in cells for text in _texts(cell)]


def _texts(cell: Any) -> list[str]:
    if isinstance(cell, list | tuple):
        return [text for part in cell for text in _texts(part)]
    if cell is None or isinstance(cell, dict) or cell != cell:  # NaN is no value
        return []
    # Parquet gives whole numbers as 5.0 where a cell of the column is empty, CSV as 5.
    whole = isinstance(cell, float) and cell.is_integer()
    text = str(int(cell) if whole else cell).strip()
    return [text] if text else []


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
