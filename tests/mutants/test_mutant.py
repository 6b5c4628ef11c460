"""Which mutants a source text has, and how they are drawn."""

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
    ("operator", "inverse"),
    [
        ("<", ">="),
        (">", "<="),
        ("==", "!="),
        ("in", "not in"),
        ("is", "is not"),
    ],
)
def test_comparison_is_inverted_both_ways(operator: str, inverse: str) -> None:
    assert changed(f"a {operator} b\n") == [f"a {inverse} b\n"]
    assert changed(f"a {inverse} b\n") == [f"a {operator} b\n"]


def test_chained_comparisons_are_inverted_one_at_a_time() -> None:
    assert changed("a < b <= c\n") == ["a >= b <= c\n", "a < b > c\n"]


def test_and_and_or_are_swapped_one_at_a_time() -> None:
    assert changed("a and b and c\n") == ["a or b and c\n", "a and b or c\n"]
    assert changed("a or b\n") == ["a and b\n"]


def test_number_is_increased_by_one_and_nothing_else_changes() -> None:
    assert changed("f = [1_000, 0.5]  # two\n") == [
        "f = [1001, 0.5]  # two\n",
        "f = [1_000, 1.5]  # two\n",
    ]


def test_bool_text_and_none_are_no_numbers() -> None:
    assert changed("f = True, 'two', None\n") == []


def test_call_with_unused_result_is_removed_with_all_its_lines() -> None:
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


def test_operator_is_found_beside_parentheses_comments_and_multibyte_characters() -> None:
    assert changed("('…') in (  # in or out\n    a)\n") == ["('…') not in (  # in or out\n    a)\n"]
    assert changed("((a)  # and so on\n  and (b))\n") == ["((a)  # and so on\n  or (b))\n"]
    assert changed("a not  in b\n") == ["a in b\n"]


def test_docstrings_annotations_and_type_checking_blocks_have_no_mutants() -> None:
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


def test_mutant_that_does_not_compile_is_never_drawn(tmp_path: Path) -> None:
    module = tmp_path / "stream" / "a.py"
    module.parent.mkdir()
    # In a pattern the keys of a mapping must differ.
    module.write_text("match a:\n    case {1: b, 2: c}: pass\n")

    assert [mutant.text for mutant in draw(tmp_path, 1, 10)] == ["3"]


def test_mutant_belongs_to_the_function_that_runs_it() -> None:
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
    # Each number is increased by one; a default is computed where the function is defined.
    assert numbers == {"2": MODULE, "3": MODULE, "4": 2, "5": MODULE, "6": 7}


def test_diff_shows_whole_lines() -> None:
    source = b"a\nif b(\n    c) < d:\n    e(\n        f)"
    inverted, removed = mutants("a.py", source)

    assert inverted.line(source) == 3
    assert inverted.diff(source) == ["-     c) < d:", "+     c) >= d:"]
    assert removed.diff(source) == ["-     e(", "-         f)", "+     pass"]


def test_same_seed_draws_the_same_places_and_another_seed_draws_others() -> None:
    drawn = draw(ROOT, 1, 20)

    assert len(set(drawn)) == 20
    assert draw(ROOT, 1, 20) == drawn
    assert draw(ROOT, 2, 20) != drawn
