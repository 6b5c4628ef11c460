"""The catalogue: its columns, shares and checks."""

import json

import pytest

from model.catalogue import NO_CATEGORY, UNKNOWN, Catalogue


def small() -> Catalogue:
    return Catalogue.from_names(["a", "b", "c"], ["shoes", None, "hats"], [6, 3, 1])


def test_codes_are_indices_and_unknown_for_missing_items() -> None:
    assert small().codes(["c", "a", "x", "b"]).tolist() == [2, 0, UNKNOWN, 1]


def test_categories_are_sorted_and_may_be_missing() -> None:
    catalogue = small()

    assert catalogue.categories == ("hats", "shoes")
    assert catalogue.item_categories.tolist() == [1, NO_CATEGORY, 0]
    assert [catalogue.category_of(item) for item in "abcx"] == ["shoes", None, "hats", None]


def test_popularity_is_the_share_of_the_counts() -> None:
    assert small().shares(small().counts).tolist() == [6 / 10, 3 / 10, 1 / 10]


def test_category_popularity_leaves_out_items_without_category() -> None:
    assert small().category_shares(small().counts).tolist() == pytest.approx(
        [1 / (6 + 1), 6 / (6 + 1)]
    )


def test_without_counts_every_item_is_equally_popular() -> None:
    catalogue = Catalogue(["a", "b"], [], [NO_CATEGORY, NO_CATEGORY], [0, 0])

    assert catalogue.shares(catalogue.counts).tolist() == [1 / 2, 1 / 2]
    assert catalogue.category_shares(catalogue.counts).tolist() == []


def test_a_catalogue_survives_a_round_trip_through_json() -> None:
    catalogue = small()
    again = Catalogue.from_json(json.loads(json.dumps(catalogue.to_json())))

    assert again.to_json() == catalogue.to_json()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"items": []}, "0 items but 3 categories"),
        ({"items": ["a", "a", "b"]}, "3 items but 2 distinct ids"),
        ({"items": ["a", 1, "b"]}, "items are not a list of str"),
        ({"items": None}, "items are not a list of str"),
        ({"counts": [1, 2]}, "3 items but 2 counts"),
        ({"counts": [1, 2, -1]}, "a count of -1"),
        ({"counts": [1, 2, 3.5]}, "counts are not a list of int"),
        ({"counts": [1, 2, True]}, "counts are not a list of int"),
        ({"item_categories": [0, 1, 2]}, "run from 0 to 2, expected -1"),
        ({"categories": ["hats", "hats"]}, "has a category twice"),
    ],
)
def test_columns_that_do_not_match_are_rejected(change: dict[str, object], line: str) -> None:
    columns = small().to_json() | change

    with pytest.raises(ValueError, match=line):
        Catalogue.from_json(columns)
