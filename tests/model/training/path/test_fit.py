"""The session HMM: its symbols, its forward algorithm against training's, and its outputs."""

import copy
import json
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact.artifact import Artifact
from model.config import ArtifactConfig
from model.data.dataset import Histories
from model.data.log import EventLog
from model.features import Padded, bucket_gaps
from model.graphs.build import graph_of
from model.graphs.path import NEARLY
from model.networks.path import END, PACES, STATES, PathConfig, PathModel
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer
from model.training.path.fit import over, session_ends, set_chances
from model.training.path.forward_backward import Chances, Expected, Sessions, expect
from model.training.path.hmm import named
from model.training.plan import Plan, Recipe
from model.training.run import run
from model.visits import STAGES
from tests.model.cut_graph import assert_the_outputs_that_stay_have_the_same_bits

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to export, one core shared

ITEMS, CATEGORIES, LENGTH = 12, 3, 8
CONFIG = ArtifactConfig(network="path", max_length=LENGTH, top_items=4, top_categories=3)
SYMBOLS = 3 * 3 * PACES
CLICK, CART, BUY = 1, 2, 3  # codes of actions


def random_chances() -> Chances:
    rng = np.random.default_rng(4)
    emission = np.zeros((STATES, SYMBOLS + 1))
    emission[:END, :-1] = rng.dirichlet(np.full(SYMBOLS, 0.5), END)
    emission[END, -1] = 1
    transition = np.vstack([rng.dirichlet(np.ones(STATES), END), np.eye(STATES)[END]])
    return Chances(np.append(rng.dirichlet(np.ones(END)), 0), transition, emission)


@pytest.fixture(scope="module")
def network() -> PathModel:
    """Random parameters; item i has category i mod 3, and popularity falls with i."""
    torch.manual_seed(2)
    network = PathModel(PathConfig(items=ITEMS, categories=CATEGORIES, max_length=LENGTH))
    network.set_items(torch.arange(ITEMS) % CATEGORIES, torch.arange(ITEMS, 0, -1))
    set_chances(network, random_chances())
    network.surprises.copy_(torch.linspace(1, 5, len(network.surprises)))
    torch.nn.Module.eval(network)
    return network


def window(*actions: tuple[int, int, float]) -> list[torch.Tensor]:
    """One window of (item code, action code, seconds until the next action)."""
    items, kinds, pauses_s = zip(*actions, strict=True)
    gaps = bucket_gaps(np.array([1000 * s for s in pauses_s]).astype(np.int64), CONFIG)
    columns = [np.array([column], dtype=np.int32) for column in (items, kinds, gaps)]
    return [torch.from_numpy(c) for c in (*columns, np.array([len(items)], dtype=np.int32))]


def served(network: PathModel, inputs: list[torch.Tensor]) -> dict[str, Any]:
    graph = graph_of(network, CONFIG)
    with torch.inference_mode():
        said = graph(*inputs)
    return {name: values.numpy() for name, values in zip(graph.outputs, said, strict=True)}


def test_a_symbol_is_type_relation_and_pace(network: PathModel) -> None:
    actions = (2, CLICK, 3), (5, CLICK, 20), (3, CLICK, 100), (2, CART, 4_000), (2, BUY, 0)
    observed = network.observe(*window(*actions))
    same_item, same_category, other = 0, 1, 2
    quick, steady, slow = 0, 1, 2
    expected = [
        (CLICK, other, slow),  # a visit begins
        (CLICK, same_category, quick),  # codes 2 and 5 are items 0 and 3, of category 0; 3 s
        (CLICK, other, steady),  # item 1; 20 s
        (CART, same_item, slow),  # item 0 again; 100 s
        (BUY, other, slow),  # 4000 s later: another visit, in which item 0 is new
    ]

    assert observed.symbols.tolist() == [
        [((action - 1) * 3 + relation) * PACES + pace for action, relation, pace in expected]
    ]
    assert observed.starts.tolist() == [[True, False, False, False, True]]
    assert observed.newest.tolist() == [[False, False, False, False, True]]


def chances_of(network: PathModel) -> Chances:
    """The network's model, with the end as a symbol again."""
    emission = np.zeros((STATES, network.config.symbols + 1))
    emission[:, :-1] = network.emission.double().numpy()
    emission[END, -1] = 1.0
    start, transition = network.start.double().numpy(), network.transition.double().numpy()
    rows = (row / row.sum(axis=-1, keepdims=True) for row in (start, transition, emission))
    return Chances(*rows)


steps = st.tuples(st.integers(1, ITEMS + 1), st.integers(1, 3), st.sampled_from([1, 30, 500]))


def expected_of(network: PathModel, symbols: Any) -> Expected:
    return expect(chances_of(network), Sessions(symbols, np.array([len(symbols)])))


@settings(deadline=None, max_examples=25)
@given(st.lists(steps, min_size=1, max_size=LENGTH))
def test_the_stages_match_those_of_the_training(
    network: PathModel, actions: list[tuple[int, int, float]]
) -> None:
    """A session that ends next leaves from stage i with P(i | session) · P(end | i), over a sum."""
    inputs = window(*actions)
    symbols = network.observe(*inputs).symbols.numpy()[0]
    with torch.inference_mode():
        stages, _, visit, _ = network(*inputs)
    left = expected_of(network, np.append(symbols, SYMBOLS)).moves[:END, END]
    expected = left / chances_of(network).transition[:END, END]

    assert stages[0].numpy() == pytest.approx(expected / expected.sum(), abs=1e-5)
    surprise = -expected_of(network, symbols).likelihood / len(symbols)
    assert float(visit[0, 1]) == pytest.approx(surprise, abs=1e-5)


def test_the_probability_of_the_end_matches_that_of_the_training(network: PathModel) -> None:
    """P(end next) = likelihood with the end / likelihood without it."""
    inputs = window((2, CLICK, 3), (5, CLICK, 20), (5, CART, 0))
    symbols = network.observe(*inputs).symbols.numpy()[0]
    ended = expected_of(network, np.append(symbols, SYMBOLS)).likelihood
    expected = np.exp(ended - expected_of(network, symbols).likelihood)

    assert served(network, inputs)["visit"][0, 0] == pytest.approx(expected, abs=1e-5)


def test_a_visit_is_over_after_a_long_pause(network: PathModel) -> None:
    assert served(network, window((2, CLICK, 2_048)))["visit"][0, 0] == 1.0
    assert served(network, window((2, CLICK, 2_047)))["visit"][0, 0] < 1.0


def test_actions_before_the_visit_do_not_count(network: PathModel) -> None:
    alone = served(network, window((4, CLICK, 5), (7, CART, 0)))
    later = served(network, window((2, BUY, 9), (3, BUY, 5_000), (4, CLICK, 5), (7, CART, 0)))

    for name, values in alone.items():
        assert later[name] == pytest.approx(values, abs=1e-6), name


def test_each_output_is_a_distribution(network: PathModel) -> None:
    for inputs in (window((2, CLICK, 3), (1, CART, 0)), window((1, CLICK, 0))):
        said = served(network, inputs)
        for name in ("stages", "steps", "probabilities", "category_probs"):
            assert said[name].sum(axis=1) == pytest.approx(1.0, abs=1e-5), name
            assert (said[name] >= 0).all()


def test_items_follow_the_next_step(network: PathModel) -> None:
    """The window holds item 4 (category 1) only; counts are 12, 11, … for items 0, 1, …"""
    said = served(network, window((6, CLICK, 0)))
    same_item, same_category, other = said["steps"].reshape(3, 3).sum(axis=0)
    of_category_1 = 11 + 8 + 5 + 2  # items 1, 4, 7 and 10
    everything = sum(range(1, ITEMS + 1))
    chances = said["probabilities"][0]

    assert chances[0] == pytest.approx(other * 12 / everything, rel=1e-3)
    on_shelf = same_category * 11 / of_category_1 + other * 11 / everything
    assert chances[1] == pytest.approx(on_shelf, rel=1e-3)
    again = same_item + same_category * 8 / of_category_1 + other * 8 / everything
    assert chances[4] == pytest.approx(again, rel=1e-3)
    assert said["category_probs"][0, 1] == pytest.approx(chances[1::3].sum(), abs=1e-6)


def test_unusual_is_the_share_of_less_surprising_visits(network: PathModel) -> None:
    """Those that are less surprising by under ``NEARLY`` count in part."""
    inputs = window((2, CLICK, 3), (5, CLICK, 20))
    surprise = float(network(*inputs)[2][0, 1])
    clearly, at_all = (
        float((network.surprises < bound).float().mean()) for bound in (surprise - NEARLY, surprise)
    )

    assert 0 < clearly < at_all < 1
    assert clearly < served(network, inputs)["visit"][0, 1] < at_all


@pytest.mark.parametrize("sign", [-1, 1])
def test_unusual_is_steady_where_many_visits_were_alike(network: PathModel, sign: int) -> None:
    """Engines differ in the last bits of the surprise, here that of every training visit."""
    inputs = window((2, CLICK, 0))
    surprise = network(*inputs)[2][0, 1]
    said = []
    for common in (surprise, surprise + sign * 1e-6):
        like_this = copy.deepcopy(network)
        like_this.surprises.fill_(common)
        said.append(served(like_this, inputs)["visit"][0, 1])

    assert said[0] == pytest.approx(said[1], abs=1e-5 + 1e-6)


def test_stages_are_named_by_their_behaviour() -> None:
    """States 0 to 3: buys; ends; browses; stays with items already seen."""
    steps = np.zeros((STATES, 3, 3, PACES))
    steps[0, 1:, 0] = 1
    steps[1, 0, 2] = 1
    steps[2, 0, 2] = 1
    steps[3, 0, :2] = 1
    emission = np.zeros((STATES, SYMBOLS + 1))
    emission[:, :-1] = steps.reshape(STATES, SYMBOLS)
    emission[:END] /= emission[:END].sum(axis=1, keepdims=True)
    emission[END, -1] = 1
    transition = np.full((STATES, STATES), 0.2)
    transition[1] = [0.1, 0.1, 0.1, 0.1, 0.6]
    found = named(Chances(np.array([0.1, 0.2, 0.3, 0.4, 0]), transition, emission), [1, 2])

    assert STAGES == ("browsing", "comparing", "deciding", "leaving")
    assert found.start.tolist() == [0.3, 0.4, 0.1, 0.2, 0]
    assert found.transition[3].tolist() == [0.1, 0.1, 0.1, 0.1, 0.6]


def test_a_visit_is_over_if_the_log_goes_on_without_it() -> None:
    minutes = np.array([0, 5, 60, 0, 70]) * 60_000
    histories = Histories(np.zeros(5, np.int32), np.zeros(5, np.int8), minutes, np.array([0, 3, 5]))
    ends = session_ends(histories, CONFIG)

    assert ends.tolist() == [1, 2, 3, 4]  # 55 minutes between 1 and 2, 70 between 3 and 4
    until_ms = 100 * 60_000  # 40 minutes after event 2, 30 after event 4
    assert over(histories, ends, until_ms, CONFIG).tolist() == [True, True, True, False]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Trained on users who browse, then buy the item that they viewed twice."""
    folder = tmp_path_factory.mktemp("path")
    rng, rows = Random(3), []
    for user in range(60):
        ts = 1_790_000_000_000 + rng.randrange(10**8)
        for _ in range(3):
            looks = [rng.randrange(ITEMS) for _ in range(rng.randrange(2, 5))]
            does = [(item, "click") for item in looks]
            if rng.random() < 0.5:
                does += [(looks[-1], action) for action in ("click", "cart", "buy")]
            for item, action in does:
                row = {"user_id": f"u{user}", "item_id": f"i{item:02}", "category": f"c{item % 3}"}
                rows.append(row | {"action": action, "ts": ts})
                ts += 1 + rng.randrange(60_000)
            ts += 10**7
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    torch.set_num_threads(1)
    return run(EventLog.open([path]), Plan(CONFIG, Recipe()), folder / "artifact")


def test_the_worker_serves_it(shop: Artifact) -> None:
    scorer = OnnxScorer(shop)
    batch = scorer.sample(40)
    together = scorer.score(batch)

    assert together == [scorer.score([sequence])[0] for sequence in batch]
    for ours, theirs in zip(together, TorchScorer(shop).score(batch), strict=True):
        assert ours.path is not None and theirs.path is not None
        assert ours.path["stages"] == pytest.approx(theirs.path["stages"], abs=1e-5)
        assert [p for _, p in ours.items] == pytest.approx([p for _, p in theirs.items], abs=1e-5)


def test_a_cut_graph_gives_the_same_bits(shop: Artifact) -> None:
    assert_the_outputs_that_stay_have_the_same_bits(shop)


def test_a_user_with_a_cart_is_deciding(shop: Artifact) -> None:
    scorer = OnnxScorer(shop)
    sequence = scorer.sample(1)[0]
    looks = sequence._replace(
        items=("i01", "i05"), actions=("click", "click"), times_ms=(0, 20_000), now_ms=20_000
    )
    holds = looks._replace(
        items=("i01", "i05", "i05", "i05"),
        actions=("click", "click", "click", "cart"),
        times_ms=(0, 20_000, 40_000, 60_000),
        now_ms=60_000,
    )
    (looking, holding) = scorer.score([looks, holds])

    assert looking.path is not None and holding.path is not None
    # Users always buy what is in their cart, and a visit ends only after that.
    assert holding.path["stages"]["deciding"] > looking.path["stages"]["deciding"]
    # Four stages are too few to separate the second view from the purchase, but nothing else
    # comes next.
    step = "buy/same item"
    assert holding.path["next"][step] > 0.4 > looking.path["next"][step]
    assert holding.intent["buy"] > 0.7 > looking.intent["buy"]


def test_a_visit_without_a_known_item_has_no_path(shop: Artifact) -> None:
    scorer = OnnxScorer(shop)
    empty = scorer.sample(1)[0]._replace(items=(), actions=(), times_ms=())

    assert scorer.score([empty])[0].path is None


def test_padding_does_not_belong_to_a_visit(network: PathModel) -> None:
    inputs = window((2, CLICK, 3), (5, CART, 0))
    wide = [torch.nn.functional.pad(codes, (0, 3)) for codes in inputs[:3]]

    for name, values in served(network, inputs).items():
        assert served(network, [*wide, inputs[3]])[name] == pytest.approx(values, abs=1e-6), name


def test_the_inputs_match_the_encoder() -> None:
    assert set(graph_of(PathModel(PathConfig()), ArtifactConfig()).inputs) <= set(Padded._fields)
