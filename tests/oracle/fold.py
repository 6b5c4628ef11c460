"""The fold: one user's state, changed by one event at a time."""

from typing import Literal, NamedTuple

from model.sequence import Sequence
from tests.oracle.hashing import event_digest
from tests.oracle.message import FORGET, Event
from tests.oracle.rules import Rules

Outcome = Literal["applied", "late", "future", "duplicate", "forgotten"]


MOST_CATEGORIES = 255


class Action(NamedTuple):
    """One thing the user did, as the state keeps it."""

    ts: int
    item_id: str
    kind: str
    category: str = ""  # none


class State(NamedTuple):
    """What the fold knows of a user after an event; actions by event time, oldest first."""

    applied_offset: int
    as_of_ts: int
    actions: tuple[Action, ...] = ()
    event_ids: tuple[bytes, ...] = ()
    forgotten: bool = False

    def sequence(self) -> Sequence:
        """What the scorer gets; its clock never stands before the newest action."""
        names = sorted({action.category for action in self.actions} - {""})
        places = {"": 0} | {name: place for place, name in enumerate(names, 1)}
        indices = bytes(places[action.category] for action in self.actions)
        return Sequence(
            items=tuple(action.item_id for action in self.actions),
            actions=tuple(action.kind for action in self.actions),
            times_ms=tuple(action.ts for action in self.actions),
            now_ms=max([self.as_of_ts, *(action.ts for action in self.actions)]),
            category_names=tuple(names),
            category_indices=indices if names else b"",
        )


def fold(
    state: State | None, event: Event, offset: int, record_ms: int, rules: Rules
) -> tuple[State | None, Outcome]:
    """Apply one event; a duplicate gives back the very state it was given."""
    before = state or State(-1, 0)
    if event.action == FORGET:
        return State(offset, 0, forgotten=True), "forgotten"
    digest = None if event.event_id is None else event_digest(event.event_id)
    if digest is not None and digest in before.event_ids:
        return state, "duplicate"
    outcome: Outcome = "applied"
    ts = event.ts
    if 0 <= record_ms < ts - rules.max_future_ms:  # -1 is no clock
        ts, outcome = record_ms, "future"
    actions, event_ids = before.actions, before.event_ids
    if actions and ts - actions[-1].ts > rules.ttl_ms:
        actions, event_ids = (), ()
    if actions and actions[-1].ts - ts > rules.allowed_lateness_ms:
        outcome = "late"
    else:
        if digest is not None:
            event_ids = (*event_ids, digest)
        # sorted() is stable, so an event comes after those of equal time that came before it.
        action = Action(ts, event.item_id, event.action, _category(actions, event))
        placed = sorted((*actions, action), key=lambda a: a.ts)
        actions = tuple(placed[-rules.sequence_length :])
    kept_ids = event_ids[-rules.dedupe_window :] if rules.dedupe_window else ()
    return State(offset, ts, actions, kept_ids), outcome


def _category(actions: tuple[Action, ...], event: Event) -> str:
    """The event's own; none where it would be the 256th name beside those of the actions."""
    names = {action.category for action in actions} - {""}
    wanted = event.category or ""
    return wanted if wanted in names or len(names) < MOST_CATEGORIES else ""
