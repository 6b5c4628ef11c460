"""The reference page is what the commands, settings and metrics are."""

from docs.reference import OUTPUT, page
from stream.cli.app import app
from stream.cli.help import COMMANDS, OTHERS, SETTINGS, listed
from stream.settings import WorkerSettings


def test_the_page_is_as_its_command_writes_it() -> None:
    assert OUTPUT.read_text(encoding="utf-8") == page(), "run `python -m docs.reference`"


def test_every_setting_is_in_one_group() -> None:
    grouped = [name for names in SETTINGS.values() for name in names]

    assert sorted(grouped) == sorted(WorkerSettings.model_fields)


def test_every_command_is_in_one_group() -> None:
    grouped = [name for names in COMMANDS.values() for name in names]
    commands = {
        info.name or info.callback.__name__ for info in app.registered_commands if info.callback
    }
    groups = {info.name for info in app.registered_groups}

    assert len(set(grouped)) == len(grouped)
    assert dict(listed([*commands, *filter(None, groups)]))[OTHERS] == []
    assert set(grouped) == commands | groups
