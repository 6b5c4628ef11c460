"""The check of `lately doctor` on recent events: how many a worker and its model would know."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence

import msgspec

from model.scorer import Vocabulary
from stream.commands.doctor_checks.doctor_machine import Check
from stream.errors import LatelyError
from stream.events import FORGET, DeadLetter, Event, Validator
from stream.kafka.command_clients import open_reader
from stream.kafka.placement import default_partitioner
from stream.settings import DEFAULT_ACTIONS, DoctorSettings, WorkerSettings

NEWEST = 1000  # events that are looked at, over all partitions
MANY_DEAD = 0.01
MANY_UNKNOWN = 0.5
_NAMES_SHOWN = 5


class _Action(msgspec.Struct):
    action: str


async def check_events(settings: DoctorSettings, vocabulary: Vocabulary | None) -> Sequence[Check]:
    """Judge the newest events as a worker would; ``vocabulary`` is that of the artifact, if any."""
    known = None if vocabulary is None else vocabulary.actions
    accepted = settings.actions or sorted(known or DEFAULT_ACTIONS)
    try:
        events, dead = await _newest(settings, accepted)
    except (LatelyError, TimeoutError) as error:
        found, _, fix = str(error).partition("; ")
        return [Check("WARN", "events", f"cannot be read ({found})", fix or "see the other lines")]
    if not events and not dead:
        return [Check("SKIP", "events", f"{settings.events_topic} has none yet")]
    checks = [assess_dead_letters(len(events), dead)]
    if vocabulary is not None:
        checks.append(assess_vocabulary(events, accepted, vocabulary))
    return checks


async def _newest(
    settings: DoctorSettings, accepted: Sequence[str]
) -> tuple[list[Event], list[DeadLetter]]:
    events: list[Event] = []
    dead: list[DeadLetter] = []
    topic = settings.events_topic
    async with open_reader(settings, topic, "--events-topic", committed=True) as reader:
        validator = Validator(
            frozenset(accepted),
            WorkerSettings.model_fields["max_message_bytes"].default,
            default_partitioner(len(reader.partitions)),
        )
        async for number, records in reader.read_newest(NEWEST):
            valid, invalid = validator.validate(records, number)
            events += valid
            dead += invalid
    return events, dead


def assess_dead_letters(valid: int, dead: Sequence[DeadLetter]) -> Check:
    """Whether too many of the newest events are dead letters."""
    total = valid + len(dead)
    if not dead:
        return Check("PASS", "events", f"a worker takes each of the newest {total:,}")
    reasons = Counter(letter.reason for letter in dead)
    listed = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
    share = len(dead) / total
    found = f"{share:.1%} of the newest {total:,} are dead letters ({listed})"
    if share <= MANY_DEAD:
        return Check("PASS", "events", found)
    names = _unknown_actions(dead)
    fix = (
        f"the events have the actions {names}: name those that you want by --actions"
        if names
        else "see `lately dead list`, and mend the producer"
    )
    return Check("FAIL" if share == 1 else "WARN", "events", found, fix)


def _unknown_actions(dead: Sequence[DeadLetter]) -> str:
    """The commonest actions that are not accepted, escaped as in Python."""
    values = (d.message.value for d in dead if d.reason == "unknown_action")
    counts = Counter(msgspec.json.decode(value, type=_Action).action for value in values if value)
    return ", ".join(ascii(name)[1:-1] for name, _ in counts.most_common(_NAMES_SHOWN))


def assess_vocabulary(
    events: Sequence[Event], accepted: Sequence[str], vocabulary: Vocabulary
) -> Check:
    """Whether the model knows the accepted actions, and the actions and items of the events."""
    known_actions, known_items = vocabulary.actions, vocabulary.items
    if known_actions is not None and not known_actions.intersection(accepted):
        found = f"the model knows {_list(known_actions)}, the worker accepts {_list(accepted)}"
        return Check("FAIL", "fit", found, "set --actions to what the model was trained on")
    actions = [event for event in events if event.action != FORGET]
    if not actions:
        return Check("SKIP", "fit", "no recent action to compare with the model")
    no_action = sum(known_actions is not None and e.action not in known_actions for e in actions)
    no_item = sum(known_items is not None and e.item not in known_items for e in actions)
    action_share, item_share = no_action / len(actions), no_item / len(actions)
    found = (
        f"of the newest {len(actions):,} actions the model does not know the action of "
        f"{action_share:.1%}, and the item of {item_share:.1%}"
    )
    if action_share > MANY_DEAD:
        fix = "train the model on a log with these actions, or leave them out of --actions"
        return Check("WARN", "fit", found, fix)
    if unseen := vocabulary.unseen_intents(accepted):
        fix = f"the worker accepts no action of {', '.join(unseen)}, which the model predicts"
        return Check("WARN", "fit", found, f"{fix}: name them by --actions")
    if item_share > MANY_UNKNOWN:
        fix = "train on newer events, or add the items with `lately artifact extend`"
        return Check("WARN", "fit", found, _other_form(actions, known_items) or fix)
    if other := _other_categories(actions, vocabulary):
        fix = "scores have the model's: train it on events, or a list of items, with the same"
        return Check("WARN", "fit", f"{found}; {other}", fix)
    return Check("PASS", "fit", found)


def _other_form(events: Sequence[Event], known: Container[str] | None) -> str:
    """What to do if the events name known items by ids of another form, as ``I7`` for ``i007``."""
    if not isinstance(known, Iterable):
        return ""
    forms = {form: item for item in known if (form := _form(item))}
    unknown = dict.fromkeys(event.item for event in events if event.item not in known)
    others = {item: forms[form] for item in unknown if (form := _form(item)) in forms}
    if len(others) <= MANY_UNKNOWN * len(unknown):
        return ""
    item, its_form = next(iter(others.items()))
    return (
        f"the events write ids in another form, {item!a} where the model knows "
        f"{its_form!a}: train it on ids as the events have them"
    )


def _form(item: str) -> str:
    """An id without what its forms differ in: case, blanks, zeros in front, what is no digit.

    Of an id without digits all letters count.
    """
    digits = "".join(re.findall(r"[0-9]+", re.sub(r"\.0+$", "", item.strip()))).lstrip("0")
    return digits or "".join(re.findall(r"\w+", item.casefold()))


def _other_categories(events: Sequence[Event], vocabulary: Vocabulary) -> str:
    """How many events name another category of their item than the model has, if many do."""
    of_item = vocabulary.category_of
    named = [(e.category, known) for e in events if e.category and (known := of_item(e.item))]
    other = [(category, known) for category, known in named if category != known]
    if len(other) <= MANY_UNKNOWN * len(named):
        return ""
    category, known = other[0]
    return (
        f"{len(other) / len(named):.1%} of the {len(named):,} that name a category name another "
        f"one, as {category!a} for {known!a}"
    )


def _list(names: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))
