import pytest

from model.progress import progress


def test_without_a_terminal_a_line_is_printed_every_ten_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now_s = 0.0
    with progress("converting otto", total=200, clock=lambda: now_s) as update:
        update(50)
        now_s = 10.0
        update(100)
        now_s = 19.0
        update(150)
        now_s = 20.0
        update(200)

    assert capsys.readouterr().err == "converting otto: 50%\nconverting otto: 100%\n"


def test_more_than_was_expected_is_no_more_than_all(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    with progress("training", total=100, clock=lambda: now_s) as update:
        now_s = 10.0
        update(160)

    assert capsys.readouterr().err == "training: 100%\n"


def test_a_new_phase_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", total=100, clock=lambda: 0.0) as update:
        update(0, "reading")
        update(0, "counting")
        update(10)
        update(60, "judging")

    assert capsys.readouterr().err == "counting: 0%\njudging: 60%\n"
