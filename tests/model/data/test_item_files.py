"""Item lists as other programs leave them: read as they are meant, or refused for what they are."""

import gzip
import io
import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from model.data.log import read_items
from model.errors import DataError

HEAD = "item_id,category,title\n"


def text_alone(value: object) -> str:
    """A test's name; the bytes of archives differ from run to run."""
    return value if isinstance(value, str) else "bytes"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(**columns: pl.Series) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(columns).write_parquet(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", f"{HEAD}a,b,c\n".replace("\n", "\r")),
        ("items.csv", f"\r\n{HEAD}a,b,c\r\n\r\n"),
        ("items.csv", f"{HEAD}\ufeffa,b,c\n"),
        ("items.csv", f'{HEAD}"a","b","c"'),
        ("items.tsv", f"{HEAD}a,b,c\n".replace(",", "\t")),
        ("items.jsonl", '{"item_id": "x", "item_id": "a", "category": "b", "title": "c"}'),
        ("items.jsonl", '\ufeff\n\ufeff{"item_id": "a", "category": "b", "title": "c"}'),
        (
            "items.parquet",
            parquet(
                item_id=pl.Series(["a"], dtype=pl.Categorical),
                category=pl.Series(["b"], dtype=pl.Enum(["b"])),
                title=pl.Series(["c"]),
            ),
        ),
    ],
    ids=text_alone,
)
def test_an_item_is_the_same_in_every_file(tmp_path: Path, name: str, content: str | bytes) -> None:
    (item,) = read_items(written(tmp_path, name, content)).values()

    assert item[:3] == ("a", "b", "c")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("items.csv", "item_id,title,item_id\na,b,c\n", "has two columns item_id; rename the one"),
        ("items.csv", f"{HEAD}a,b,größe\n".encode("cp1252"), "row 1: holds bytes that are not"),
        ("items.csv", HEAD.encode("utf-16-be"), "is UTF-16; save it as UTF-8"),
        ("items.csv", gzip.compress(HEAD.encode()), "is packed by gzip; save it as UTF-8"),
        ("items.csv", b"PK\x03\x04", "is a zip archive or a workbook; save it"),
        ("items.csv", f'{HEAD}"a,b,c\n', "row 1: unexpected end of data"),
        ("items.csv", f"{HEAD.upper()}a,b,c\n", "no column item_id; found ITEM_ID, CATEGORY"),
        ("items.jsonl", json.dumps({"item_id": "\ud800"}), "line 1: 'utf-8' codec can't encode"),
        ("items.jsonl", json.dumps({"item_id": "a", "title": "\ud800"}), "line 1: 'utf-8' codec"),
        ("items.jsonl", f'{{"x": {"[" * 100_000}{"]" * 100_000}}}', "line 1: maximum recursion"),
        ("items.jsonl", '{"item_id": "a", "title": ["b"]}', "row 1: title is ['b'], expected a"),
        ("items.jsonl", '{"item_id": "a", "category": {}}', "row 1: category is {}, expected a"),
        ("items.jsonl", '{"item_id": true}', "row 1: item_id is True, expected a text"),
        ("items.jsonl", '{"item_id": 7}\n{"item_id": "7"}', "row 2 repeats item 7; keep one"),
        ("items.parquet", parquet(item_id=pl.Series([b"a"])), "item_id is b'a', expected a text"),
        ("items.parquet", parquet(item_id=pl.Series([Decimal(7)])), "item_id is 7, expected a"),
    ],
    ids=text_alone,
)
def test_a_file_that_lists_no_items_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, why: str
) -> None:
    with pytest.raises(DataError) as refused:
        read_items(written(tmp_path, name, content))

    assert why in str(refused.value) and "\n" not in str(refused.value)
