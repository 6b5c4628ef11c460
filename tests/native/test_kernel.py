"""The kernel against float64, and against itself: batches, chunks and instruction sets."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

core: Any = pytest.importorskip("lately_native", reason="needs the native core: make native")

SETS = core.instruction_sets()
EPSILON = 2.0**-24  # of float32, relative: half a unit in the last place
EXP_SUM = 1e-6  # relative error of the normaliser: that of e^x and of sums of 64 float32

Reals = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Rows end to end, by item code."""

    ends: Ints  # (V + 2,)
    items: npt.NDArray[np.int32]  # (N,)
    shares: Reals  # (E, N)


class Batch(NamedTuple):
    """What the network says of B users."""

    queries: Reals  # (B, D)
    copies: Reals  # (B, L)
    rules: Reals  # (B, E, L)
    codes: npt.NDArray[np.int32]  # (B, L)

    def part(self, start: int, end: int) -> "Batch":
        rows = slice(start, end)
        return Batch(self.queries[rows], self.copies[rows], self.rules[rows], self.codes[rows])


class Case(NamedTuple):
    """A model's table and users to answer."""

    vectors: Reals  # (V, D)
    biases: Reals  # (V,)
    neighbours: Neighbours
    batch: Batch

    def table(self, instructions: str | None = None) -> Any:
        return core.ItemTable(self.vectors, self.biases, self.neighbours, instructions)


def case(items: int = 700, width: int = 64, users: int = 9, length: int = 8, seed: int = 0) -> Case:
    """Unit vectors as the network has them, with an odd window: empty places, repeats, no rules."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(items, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = draw.normal(size=(users, width))
    queries *= 14 / np.linalg.norm(queries, axis=1, keepdims=True)
    each = draw.integers(0, min(items, 7) + 1, items + 2)
    each[:2] = 0  # neither padding nor an unknown item has neighbours
    neighbours = np.concatenate(
        [draw.choice(items, count, replace=False) for count in each] or [np.empty(0)]
    )
    shares = draw.random((2, len(neighbours)))
    shares[draw.random(shares.shape) < 0.2] = 0
    codes = draw.integers(0, items + 2, (users, length))
    copies = np.where(codes < 2, -np.inf, draw.normal(3, 3, codes.shape))
    rules = np.where(codes[:, None] < 2, -np.inf, draw.normal(3, 3, (users, 2, length)))
    return Case(
        vectors.astype(np.float32),
        draw.normal(size=items).astype(np.float32),
        Neighbours(np.cumsum(each), neighbours.astype(np.int32), shares.astype(np.float32)),
        Batch(
            queries.astype(np.float32),
            copies.astype(np.float32),
            rules.astype(np.float32),
            codes.astype(np.int32),
        ),
    )


def best(table: Any, batch: Batch, count: int) -> tuple[Ints, Reals]:
    items, probabilities = table.best(*batch, count)
    shape = (len(batch.codes), count)
    return (
        np.frombuffer(items, np.int64).reshape(shape),
        np.frombuffer(probabilities, np.float32).reshape(shape),
    )


def scores(table: Any, queries: Reals, count: int) -> tuple[Ints, Reals, Floats]:
    (items, found), totals = table.scores(queries, count)
    shape = (len(queries), count)
    return (
        np.frombuffer(items, np.int64).reshape(shape),
        np.frombuffer(found, np.float32).reshape(shape),
        np.frombuffer(totals, np.float64),
    )


def exact_scores(of: Case) -> Floats:
    """The scores (B, V) in float64."""
    exact: Floats = of.batch.queries.astype(np.float64) @ of.vectors.T.astype(np.float64)
    return exact + of.biases.astype(np.float64)


def exact_probabilities(of: Case) -> Floats:
    """``experts.join`` in float64: the distribution over the whole catalogue, (B, V)."""
    batch, neighbours = of.batch, of.neighbours
    logits = exact_scores(of)
    most = max(logits.max(), batch.copies.max(initial=-np.inf), batch.rules.max(initial=-np.inf))
    shares = np.exp(logits - most)
    starts = np.append(0, neighbours.ends)
    for user, position in np.ndindex(batch.codes.shape):
        code = int(batch.codes[user, position])
        if code >= 2:
            shares[user, code - 2] += np.exp(float(batch.copies[user, position]) - most)
        row = slice(int(starts[code]), int(starts[code + 1]))
        for way, of_way in enumerate(neighbours.shares[:, row].astype(np.float64)):
            weight = np.exp(float(batch.rules[user, way, position]) - most)
            np.add.at(shares[user], neighbours.items[row], weight * of_way)
    distribution: Floats = shares / shares.sum(axis=1, keepdims=True)
    return distribution


def test_scores_are_those_of_float64_within_the_error_of_a_sum() -> None:
    of = case()
    exact = exact_scores(of)
    # Each of D + 1 additions rounds once; no partial sum is larger than the sum of magnitudes.
    terms = np.abs(of.batch.queries).astype(np.float64) @ np.abs(of.vectors).T + np.abs(of.biases)
    bound = (of.vectors.shape[1] + 1) * EPSILON * terms

    items, found, totals = scores(of.table(), of.batch.queries, 20)

    off = np.abs(found - np.take_along_axis(exact, items, 1))
    assert (off <= np.take_along_axis(bound, items, 1)).all()
    expected = np.log(np.exp(exact).sum(axis=1))
    assert np.abs(totals - expected).max() < bound.max() + EXP_SUM


def test_no_item_is_missed() -> None:
    of = case(items=5000, users=30)
    items, found, _ = scores(of.table(), of.batch.queries, 20)
    _, everything, _ = scores(of.table(), of.batch.queries, 5000)

    assert (found == everything[:, :20]).all()
    assert (np.diff(found, axis=1) <= 0).all()
    assert all(len(set(row)) == 20 for row in items.tolist())


@pytest.mark.parametrize("instructions", SETS)
@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 64])
def test_bits_depend_neither_on_the_instruction_set_nor_on_the_batch(
    instructions: str, size: int
) -> None:
    of = case(items=2500, users=64, seed=3)
    items, probabilities = best(of.table(), of.batch, 20)
    table = of.table(instructions)

    for start in range(0, 64, size):
        part = of.batch.part(start, start + size)
        found, chances = best(table, part, 20)
        assert found.tobytes() == items[start : start + size].tobytes()
        assert chances.tobytes() == probabilities[start : start + size].tobytes()


@settings(max_examples=40, deadline=None)
@given(
    items=st.integers(1, 400),
    width=st.integers(1, 70),
    users=st.integers(1, 14),
    length=st.integers(1, 9),
    seed=st.integers(0, 2**32),
)
@example(items=1, width=1, users=1, length=1, seed=0)
@example(items=64, width=64, users=6, length=4, seed=1)  # nothing to fill up
@example(items=65, width=65, users=7, length=4, seed=2)
def test_probabilities_are_those_of_float64_for_any_shape(
    items: int, width: int, users: int, length: int, seed: int
) -> None:
    of = case(items, width, users, length, seed)
    count = min(20, items)
    exact = exact_probabilities(of)
    found = [best(of.table(instructions), of.batch, count) for instructions in SETS]

    top, probabilities = found[0]
    assert all((top == other).all() and (probabilities == p).all() for other, p in found[1:])
    # A score is off by at most (D + 1)·14·2^-24, its e^score by as much of itself.
    off = 2 * ((width + 1) * 15 * EPSILON + EXP_SUM)
    assert np.abs(probabilities - np.take_along_axis(exact, top, 1)).max() <= off
    best_of_all = -np.sort(-exact, axis=1)[:, :count]
    assert np.abs(probabilities - best_of_all).max() <= off  # at each place; items may swap
    assert (np.diff(probabilities, axis=1) <= 0).all()


def test_ties_go_to_the_smaller_index() -> None:
    of = case(items=300, users=4)
    vectors = np.repeat(of.vectors[:30], 10, axis=0)  # ten items each that nothing tells apart
    biases = np.repeat(of.biases[:30], 10)
    nothing = Neighbours(np.zeros(302, np.int64), np.empty(0, np.int32), np.empty((2, 0), "f4"))
    of = Case(vectors, biases, nothing, of.batch._replace(codes=np.zeros_like(of.batch.codes)))

    for instructions in SETS:
        items, probabilities = best(of.table(instructions), of.batch, 25)

        for row in items.tolist():
            starts = [row[0], row[10], row[20]]
            assert all(start % 10 == 0 for start in starts)
            assert row == [start + step for start in starts for step in range(10)][:25]
        assert (probabilities[:, 0] == probabilities[:, 9]).all()


def test_an_item_without_a_chance_by_score_is_found_by_its_copy_or_a_rule() -> None:
    of = case(items=3000, users=1, length=4)
    worst = exact_scores(of)[0].argsort()[:2]
    each = np.zeros(3002, np.int64)
    each[worst[0] + 2] = 1
    rule = Neighbours(np.cumsum(each), worst[1:].astype(np.int32), np.array([[1.0], [0.0]], "f4"))
    nowhere = np.full((1, 4), -np.inf, np.float32)
    copies, rules = nowhere.copy(), np.repeat(nowhere[:, None], 2, axis=1)
    copies[0, 1], rules[0, 0, 1] = 30, 29  # scores end below 14 + 5
    codes = np.array([[1, worst[0] + 2, 0, 0]], np.int32)
    of = Case(of.vectors, of.biases, rule, Batch(of.batch.queries, copies, rules, codes))

    items, probabilities = best(of.table(), of.batch, 2)

    assert items[0].tolist() == worst.tolist()
    assert probabilities[0, 1] / probabilities[0, 0] == pytest.approx(np.exp(-1), rel=1e-6)


def test_a_model_without_rules_needs_no_neighbours() -> None:
    of = case()
    table = core.ItemTable(of.vectors, of.biases)
    batch = of.batch._replace(rules=np.empty((9, 0, 8), np.float32))
    silent = of.batch._replace(rules=np.full_like(of.batch.rules, -np.inf))

    items, probabilities = best(table, batch, 5)
    expected, chances = best(of.table(), silent, 5)
    assert items.tobytes() == expected.tobytes()
    assert probabilities.tobytes() == chances.tobytes()


def test_a_small_share_is_not_swallowed_by_a_large_sum() -> None:
    # One item of e^0 among a million of e^-16.1: a float32 sum loses each of the small ones.
    vectors = np.zeros((1_000_000, 1), np.float32)
    biases = np.full(1_000_000, -16.1, np.float32)
    biases[0] = 0
    table = core.ItemTable(vectors, biases)

    _, _, totals = scores(table, np.zeros((1, 1), np.float32), 1)

    expected = np.log(1 + 999_999 * np.exp(np.float64(np.float32(-16.1))))
    assert totals[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(wrong: float) -> None:
    of = case()
    vectors, queries = of.vectors.copy(), of.batch.queries.copy()
    vectors[3, 5] = queries[2, 7] = wrong

    with pytest.raises(ValueError, match="item 3 of vectors is not finite"):
        core.ItemTable(vectors, of.biases)
    with pytest.raises(ValueError, match="the query of row 2 is not finite"):
        best(of.table(), of.batch._replace(queries=queries), 5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["copies", "rules"])
def test_a_logit_that_is_not_a_number_is_refused(name: str, wrong: float) -> None:
    of = case()
    logits = getattr(of.batch, name).copy()
    logits.flat[3] = wrong

    with pytest.raises(ValueError, match="logit is not a number, or infinite"):
        best(of.table(), of.batch._replace(**{name: logits}), 5)


@pytest.mark.parametrize("code", [-1, 702])
def test_a_code_of_no_item_is_refused(code: int) -> None:
    of = case(items=700)
    codes = of.batch.codes.copy()
    codes[1, 1] = code

    with pytest.raises(ValueError, match=f"code {code} is that of no item, expected below 702"):
        best(of.table(), of.batch._replace(codes=codes), 5)


def test_arrays_that_do_not_fit_are_refused() -> None:
    of = case()
    beyond = of.neighbours._replace(items=np.full_like(of.neighbours.items, 700))
    falling = of.neighbours._replace(ends=of.neighbours.ends[::-1].copy())
    with pytest.raises(ValueError, match=r"queries has the shape \[9, 32\], expected \[9, 64\]"):
        best(of.table(), of.batch._replace(queries=np.zeros((9, 32), np.float32)), 5)
    with pytest.raises(ValueError, match=r"biases has the shape \[5\], expected \[700\]"):
        core.ItemTable(of.vectors, of.biases[:5])
    with pytest.raises(ValueError, match="neighbour 700 is no index of 700 items"):
        core.ItemTable(of.vectors, of.biases, beyond)
    with pytest.raises(ValueError, match="ends do not rise to"):
        core.ItemTable(of.vectors, of.biases, falling)
    with pytest.raises(ValueError, match="count is 701, expected 1 to 700"):
        best(of.table(), of.batch, 701)
    with pytest.raises(ValueError, match='instructions are "mmx", expected one of'):
        of.table("mmx")


def test_no_users_are_no_answers() -> None:
    of = case(users=3)

    items, probabilities = best(of.table(), of.batch.part(0, 0), 5)

    assert items.shape == probabilities.shape == (0, 5)
