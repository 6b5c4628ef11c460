"""The fingerprint of a training run: all that a run and the checkpoint it resumes must share."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from model.artifact.artifact import inspect

if TYPE_CHECKING:
    from model.networks.network import Network
    from model.training.plan import Plan
    from model.training.training_data import TrainingData

Fingerprint = Mapping[str, str]  # each part under the name that a message gives it

VERSION, ITEMS = "version of Lately", "list of items"
EVENTS, NETWORK = "reading of the log", "network"
FOLLOWING = (ITEMS, EVENTS, NETWORK)  # from all else, and each from those before it
# Where and for how long a run trains, and how the result is called, may change on the way.
FREE = ("name", "minutes", "device", "refit", "checkpoints")
# These are matched by what they hold, wherever it lies.
PATHS = ("encoder", "start")
FLAGS = {"width": "dim"}
SHOWN = 30  # characters of a value in a message, at most
NAMED = 3  # differences in a message, at most


def fingerprint(
    data: "TrainingData", plan: "Plan", network: "Network", processes: int = 1
) -> Fingerprint:
    """The fingerprint of training this untrained network on the data by the plan."""
    older = "none" if plan.start is None else str(inspect(plan.start)["version"])
    config = network.config.to_dict()
    config.pop("transformers_version", None)  # says nothing of the weights
    return {
        VERSION: _version(),
        "log": data.fingerprint,
        **_choices(asdict(plan)),
        "--from": older,
        "number of processes": str(processes),
        ITEMS: _digest(data.catalogue.to_json(), data.texts, data.attributes),
        EVENTS: _digest_of_events(data),
        NETWORK: _digest(config),
    }


def difference(found: Mapping[str, Any], own: Fingerprint) -> str | None:
    """What the two differ in, in words, or None: ``another log, --seed 1 (now 2)``."""
    names = [name for name in {**own, **found} if found.get(name) != own.get(name)]
    if not names:
        return None
    causes = _causes(names)
    words = [_difference(name, found.get(name), own.get(name)) for name in causes[:NAMED]]
    more = len(causes) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def _causes(names: Sequence[str]) -> Sequence[str]:
    """The names without those that follow from others: another log has other items, too."""
    if VERSION in names:
        return [VERSION]
    given = [name for name in names if name not in FOLLOWING]
    return given or [name for name in FOLLOWING if name in names][:1]


def _difference(name: str, found: object, own: object) -> str:
    values = str(found), str(own)
    if None in (found, own) or max(map(len, values)) > SHOWN:
        return f"another {name}"
    return f"{name} {values[0]} (now {values[1]})"


def _choices(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a plan, and of the groups within it, under the names of their options."""
    choices: dict[str, str] = {}
    for name, value in fields.items():
        if name in FREE or name in PATHS:
            continue
        if isinstance(value, dict):
            choices |= _choices(value)
        else:
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            choices[f"--{FLAGS.get(name, name).replace('_', '-')}"] = shown
    return choices


def _digest_of_events(data: "TrainingData") -> str:
    """Of what was read from the log, and of how it was split and labelled."""
    whole = hashlib.sha256(f"{data.held_out}".encode())
    for column in (*data.whole, *data.whole_labels):
        whole.update(column.tobytes())
    return whole.hexdigest()


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _version() -> str:
    try:
        return metadata.version("lately")
    except metadata.PackageNotFoundError:  # run from a folder that was not installed
        return "not installed"
