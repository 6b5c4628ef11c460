"""The titles of items, from a file of items as training takes it, for people to read."""

from collections.abc import Mapping
from pathlib import Path

from model.data.log import read_items
from model.printable import shortened

LONGEST = 40  # cells of a title in a table
NO_TITLE = "–"


def read_titles(path: Path | None) -> dict[str, str]:
    """The titles by item id, empty without a file; raises ``DataError`` as ``read_items`` does."""
    if path is None:
        return {}
    items = read_items(path).values()
    return {item.item_id: item.title for item in items if item.title is not None}


def short_title(titles: Mapping[str, str], item: str) -> str:
    """The title of an item on one line, cut to what fits a table."""
    return shortened(" ".join(titles.get(item, NO_TITLE).split()), LONGEST)
