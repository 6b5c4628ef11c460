"""The faults: one function each, by name; a module for each part of the world that fails."""

from tests.chaos.faults import broker, disk, group, link, messages, model, topics, worker
from tests.chaos.faults.fault import Fault

MODULES = (worker, broker, link, model, disk, group, messages, topics)
FAULTS: dict[str, Fault] = {
    found.name: found
    for module in MODULES
    for found in vars(module).values()
    if isinstance(found, Fault)
}
