"""The actions that a worker accepts: those of its settings or, without any, of its first model."""

import json
from collections.abc import Sequence

import structlog

from stream.errors import SettingsError
from stream.settings import DEFAULT_ACTIONS, MAX_ACTIONS, WorkerSettings

_MEMORY = "actions.json"  # in the group's folder of the state directory
_log = structlog.get_logger(__name__)


class AcceptedActions:
    """The accepted actions, fixed once the first model is loaded, and the models that fit them.

    The state directory remembers them, so that a model that a worker is restarted with takes none
    of them away unnoticed.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.names: Sequence[str] = settings.actions or ()
        self._are_given = settings.actions is not None
        self._artifact = settings.artifact
        self._memory = settings.state_dir / settings.group / _MEMORY

    def fit(self, known: frozenset[str] | None) -> None:
        """Raise SettingsError if a model with these actions knows none of the accepted ones.

        The first model's are accepted if the settings name none. None: the model takes any.
        """
        if not self.names:
            self.names = self._of_first_model(known)
        elif known is not None:
            self._check(known)

    def remember(self) -> None:
        """Write the accepted actions down for the next start."""
        self._memory.write_text(json.dumps(list(self.names)), encoding="utf-8")

    def _of_first_model(self, known: frozenset[str] | None) -> Sequence[str]:
        if known is None:
            return DEFAULT_ACTIONS
        if len(known) > MAX_ACTIONS:
            raise SettingsError(
                f"actions: the model in {self._artifact} knows {len(known)}, a worker accepts at "
                f"most {MAX_ACTIONS}; name those that you want by --actions or LATELY_ACTIONS"
            )
        before = self._remembered()
        if before and not known.intersection(before):
            raise SettingsError(
                f"actions: the model in {self._artifact} knows only {_list(known)}, but "
                f"{_list(before)} were accepted before this start; give the worker a model of "
                "these, or name those that you want by --actions or LATELY_ACTIONS"
            )
        if lost := before - known:
            _log.warning(
                "events that were accepted before the restart are dead letters now: the model does "
                "not know their actions; --actions keeps them",
                actions=_list(lost),
            )
        return sorted(known)

    def _check(self, known: frozenset[str]) -> None:
        accepted = frozenset(self.names)
        if not known & accepted:
            raise SettingsError(
                f"actions: the worker accepts {', '.join(self.names)}, but the model in "
                f"{self._artifact} knows only {_list(known)}; set --actions or LATELY_ACTIONS to "
                "what the model was trained on, or train it on what the worker gets"
            )
        if unknown := accepted - known:
            _log.warning("the model does not know every accepted action", unknown=_list(unknown))
        if not self._are_given and (more := known - accepted):
            _log.warning(
                "the model knows more actions, which the worker accepts once it is restarted",
                actions=_list(more),
            )

    def _remembered(self) -> frozenset[str]:
        try:
            return frozenset(json.loads(self._memory.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return frozenset()


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
