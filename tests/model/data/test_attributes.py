from pathlib import Path

import polars as pl
import pytest

from model.data.attributes import attribute_columns, attributes
from model.data.log import read_items


def test_every_extra_column_is_an_attribute(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(
        "item_id,category,title,brand,colour\ni1,shoes,Runner,acme,red\ni2,,,acme,\n",
        encoding="utf-8",
    )

    items = read_items(path)

    assert items["i1"].attributes == ("brand=acme", "colour=red")
    assert items["i2"].attributes == ("brand=acme",)


def test_a_list_gives_several_values_each_once(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": 1, "tags": ["new", "sale", "new"], "maker": {"id": 3}}\n')

    assert read_items(path)["1"].attributes == ("tags=new", "tags=sale")


def test_parquet_and_csv_give_a_whole_number_the_same_text(tmp_path: Path) -> None:
    rows = {"item_id": ["a", "b", "c", "d"], "shop": [5.0, 5.0, None, 5.0]}
    pl.DataFrame(rows).write_parquet(tmp_path / "items.parquet")
    (tmp_path / "items.csv").write_text("item_id,shop\na,5\nb,5\nc,\nd,5\n")

    found = read_items(tmp_path / "items.parquet")

    assert found == read_items(tmp_path / "items.csv")
    assert found["a"].attributes == ("shop=5",)
    assert found["c"].attributes == ()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["1", "1", "2", "2"], True),  # shop numbers: none occurs only once
        (["1", "1", "2", "3"], True),  # 2 of 4 occur only once, no more than half
        (["1", "2", "3", "3"], True),
        (["1", "2", "3", "4", "4"], False),  # 3 of 5
        (["9.99", "9.99", "9.99"], False),  # a price
        (["nan", "nan", "1"], True),  # not a number, but a text
        (["red", "blue"], True),  # too few to decide
        ([f"page {n}" for n in range(30)], False),
        (["red", "blue"] * 15, True),
        (["", None], False),
    ],
)
def test_a_column_that_measures_is_left_out(values: list[str | None], names: bool) -> None:
    rows = [{"item_id": str(n), "x": value} for n, value in enumerate(values)]

    assert attribute_columns(rows) == (["x"] if names else [])


def test_every_column_is_read_on_request(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,brand,price\ni1,7,9.99\n")

    assert read_items(path)["i1"].attributes == ()
    assert read_items(path, every_column=True)["i1"].attributes == ("brand=7", "price=9.99")


def test_cells_beyond_the_header_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,brand\ni1,acme,oops\n")

    assert read_items(path)["i1"].attributes == ("brand=acme",)


def test_attributes_are_in_the_order_of_the_columns() -> None:
    assert attributes({"b": "2", "a": True}, ["a", "b"]) == ("a=True", "b=2")
