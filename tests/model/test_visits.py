"""The published visit: names, order and digits."""

import numpy as np

from model.visits import LISTED_STEPS, published


def test_the_likeliest_steps_come_first() -> None:
    outputs = {
        "stages": np.array([[0.6, 0.2, 0.15, 0.05]]),
        "steps": np.array([[0.05, 0.3, 0.1, 0.5, 0.05, 0.0]]),
        "visit": np.array([[0.25, 0.123456789]]),
    }
    (visit,) = published(outputs, ("click", "cart"))

    assert visit["stages"] == {"browsing": 0.6, "comparing": 0.2, "deciding": 0.15, "leaving": 0.05}
    assert list(visit["next"].items()) == [
        ("cart/same item", 0.5),
        ("click/same category", 0.3),
        ("click/other", 0.1),
        ("click/same item", 0.05),
        ("cart/same category", 0.05),
    ]
    assert len(visit["next"]) == LISTED_STEPS
    assert visit["ends"] == 0.25
    assert visit["unusual"] == 0.123457  # six significant digits


def test_an_empty_batch_has_no_visits() -> None:
    sizes = {"stages": 4, "steps": 9, "visit": 2}
    outputs = {name: np.empty((0, size), dtype=np.float32) for name, size in sizes.items()}

    assert published(outputs, ("click", "cart", "buy")) == []
