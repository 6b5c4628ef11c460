"""The attributes: the columns of an item file besides id, category and title.

Each becomes a text ``column=value``, and a network compares items by those they share. A column
of numbers is left out if it measures rather than names: if any of them has a fraction (a price),
or if more than half of its values occur only once (a stock, a time). A column of other values is
left out if nearly every item has its own (an address).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KNOWN_COLUMNS = frozenset({"item_id", "category", "title"})
MOST_DISTINCT_NUMBERS = 0.5  # share of a column's values; above it, the column measures
MOST_DISTINCT = 0.9  # the same for values that are not numbers
FEW = 20  # with fewer values than this, MOST_DISTINCT decides nothing

Row = Mapping[str, Any]
Values = tuple[str, ...]


def attribute_columns(rows: Sequence[Row]) -> list[str]:
    """The columns that describe an item, in the order of their first occurrence."""
    columns = {name: _filled(row.get(name) for row in rows) for name in extra_columns(rows)}
    return [name for name, values in columns.items() if _describes(values)]


def extra_columns(rows: Sequence[Row]) -> list[str]:
    """All columns but the known ones, in the order of their first occurrence."""
    # The CSV reader keeps the cells after a row's last column under None.
    names = (name for row in rows for name in row if name and name not in KNOWN_COLUMNS)
    return list(dict.fromkeys(names))


def attributes(row: Row, columns: Iterable[str]) -> Values:
    """``column=value`` for each of these columns that the row fills; a list gives several."""
    found = (f"{name}={value}" for name in columns for value in _texts(row.get(name)))
    return tuple(dict.fromkeys(found))


def _describes(values: list[str]) -> bool:
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
    if cell is None or isinstance(cell, dict) or cell != cell:  # NaN is a missing value
        return []
    # Parquet gives whole numbers as 5.0 if another cell of the column is empty, CSV as 5.
    whole = isinstance(cell, float) and cell.is_integer()
    text = str(int(cell) if whole else cell).strip()
    return [text] if text else []


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
