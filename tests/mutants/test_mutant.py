from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.__main__ import draw
from tests.mutants.mutant import MODULE, mutants

ROOT = Path(__file__).parents[2]


def changed(text: str) -> list[str]:
    """The whole text, once for each of its mutants."""
    source = text.encode()
    return [mutant.apply(source).decode() for mutant in mutants("a.py", source)]


@pytest.mark.parametrize(
    ("operator", "turned"),
    [
        ("<", ">="),
        (">", "<="),
        ("==", "!="),
        ("in", "not in"),
        ("is", "is not"),
    ],
)
def test_a_comparison_is_turned_both_ways(operator: str, turned: str) -> None:
    assert changed(f"a {operator} b\n") == [f"a {turned} b\n"]
    assert changed(f"a {turned} b\n") == [f"a {operator} b\n"]


def test_of_a_chain_one_comparison_is_turned_at_a_time() -> None:
    assert changed("a < b <= c\n") == ["a >= b <= c\n", "a < b > c\n"]


def test_and_is_or_one_at_a_time() -> None:
    assert changed("a and b and c\n") == ["a or b and c\n", "a and b or c\n"]
    assert changed("a or b\n") == ["a and b\n"]


def test_a_number_is_moved_up_by_one_and_the_rest_stays_as_it_is_written() -> None:
    assert changed("f = [1_000, 0.5]  # two\n") == [
        "f = [1001, 0.5]  # two\n",
        "f = [1_000, 1.5]  # two\n",
    ]


def test_neither_a_bool_nor_a_text_is_a_number() -> None:
    assert changed("f = True, 'two', None\n") == []


def test_a_call_that_stands_alone_is_dropped_with_all_its_lines() -> None:
    text = dedent(
        """\
        async def f():
            a(
                b,
            )
            await c()
            return d()
        """
    )

    assert changed(text) == [
        "async def f():\n    pass\n    await c()\n    return d()\n",
        "async def f():\n    a(\n        b,\n    )\n    pass\n    return d()\n",
    ]


def test_an_operator_is_found_past_parentheses_comments_and_letters_of_several_bytes() -> None:
    assert changed("('…') in (  # in or out\n    a)\n") == ["('…') not in (  # in or out\n    a)\n"]
    assert changed("((a)  # and so on\n  and (b))\n") == ["((a)  # and so on\n  or (b))\n"]
    assert changed("a not  in b\n") == ["a in b\n"]


def test_docstrings_annotations_and_blocks_for_the_type_checker_stay_as_they_are() -> None:
    text = dedent(
        '''\
        """Says 1 < 2."""
        if TYPE_CHECKING:
            x = 1
        def f(a: Literal[1]) -> Literal[2]:
            """Says 3."""
            b: Literal[4]
        '''
    )

    assert changed(text) == []


def test_what_does_not_compile_is_never_drawn(tmp_path: Path) -> None:
    module = tmp_path / "stream" / "a.py"
    module.parent.mkdir()
    # In a pattern the keys of a mapping must differ.
    module.write_text("match a:\n    case {1: b, 2: c}: pass\n")

    assert [mutant.text for mutant in draw(tmp_path, 1, 10)] == ["3"]


def test_a_mutant_belongs_to_the_function_that_runs_it() -> None:
    text = dedent(
        """\
        A = 1
        @cache
        def f(a=2):
            return a + 3
        class B:
            c = 4
            def d(self):
                return lambda: 5
        """
    )
    found = mutants("a.py", text.encode())

    numbers = {mutant.text: mutant.function for mutant in found}
    # Each number is moved by one; a default is computed where the function is defined.
    assert numbers == {"2": MODULE, "3": MODULE, "4": 2, "5": MODULE, "6": 7}


def test_a_diff_shows_whole_lines() -> None:
    source = b"a\nif b(\n    c) < d:\n    e(\n        f)"
    turned, dropped = mutants("a.py", source)

    assert turned.line(source) == 3
    assert turned.diff(source) == ["-     c) < d:", "+     c) >= d:"]
    assert dropped.diff(source) == ["-     e(", "-         f)", "+     pass"]


def test_the_same_seed_draws_the_same_places_and_another_seed_others() -> None:
    drawn = draw(ROOT, 1, 20)

    assert len(set(drawn)) == 20
    assert draw(ROOT, 1, 20) == drawn
    assert draw(ROOT, 2, 20) != drawn
