"""Hypothesis strategies for sequences over the tiny artifact's catalogue, edge cases included."""

from hypothesis import strategies as st

from model.sequence import Sequence

ITEMS = st.one_of(
    st.integers(0, 59).map("i{}".format),
    st.sampled_from(["i0", "i1"]),  # so that items repeat
    st.sampled_from(["gone", ""]),  # not in the catalogue
)
ACTIONS = st.sampled_from(["click", "cart", "buy", "wish"])  # "wish" is unknown to the model


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Sequences that are empty, short, or longer than the network's fifty actions."""
    length = draw(st.one_of(st.integers(0, 12), st.integers(0, 70)))
    items = draw(st.lists(ITEMS, min_size=length, max_size=length))
    actions = draw(st.lists(ACTIONS, min_size=length, max_size=length))
    pauses = draw(st.lists(st.integers(0, 10**9), min_size=length, max_size=length))
    times_ms = tuple(1_700_000_000_000 + sum(pauses[: index + 1]) for index in range(length))
    now_ms = max(times_ms, default=0) + draw(st.sampled_from([0, 5_000, 10**8]))
    names = draw(st.sampled_from([(), ("c1",), ("fresh category", "c2", "another")]))
    indices = draw(st.lists(st.integers(0, len(names)), min_size=length, max_size=length))
    columns = (tuple(items), tuple(actions), times_ms, now_ms)
    return Sequence(*columns, names, bytes(indices)) if names else Sequence(*columns)
