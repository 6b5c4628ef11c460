"""Random sequences over the tiny artifact's catalogue, with all that may stand in one."""

from hypothesis import strategies as st

from model.sequence import Sequence

ITEMS = st.one_of(
    st.integers(0, 59).map("i{}".format),
    st.sampled_from(["i0", "i1"]),  # so that items come back
    st.sampled_from(["gone", ""]),  # not in the catalogue
)
KINDS = st.sampled_from(["click", "cart", "buy", "wish"])  # the model does not know wishes


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Empty, short, or longer than the fifty actions that the network sees."""
    length = draw(st.one_of(st.integers(0, 12), st.integers(0, 70)))
    items = draw(st.lists(ITEMS, min_size=length, max_size=length))
    kinds = draw(st.lists(KINDS, min_size=length, max_size=length))
    pauses = draw(st.lists(st.integers(0, 10**9), min_size=length, max_size=length))
    times_ms = tuple(1_700_000_000_000 + sum(pauses[: place + 1]) for place in range(length))
    now_ms = max(times_ms, default=0) + draw(st.sampled_from([0, 5_000, 10**8]))
    return Sequence(tuple(items), tuple(kinds), times_ms, now_ms)
