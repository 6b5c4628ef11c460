"""What scoring costs a month, from CPU per score and a price: the arithmetic, and its terms."""

from typing import NamedTuple

HOURS_A_MONTH = 730
SECONDS_A_DAY = 86_400
USERS = 1_000_000


class Terms(NamedTuple):
    """What is assumed: the price of a core, and how much a million users do."""

    price_per_core_hour: float = 0.04
    events_per_user_day: float = 10.0
    peak: float = 3.0  # the busiest second against the average one


class Cost(NamedTuple):
    """The cores that a million users need at the peak, and what those cost a month."""

    cores: float
    a_month: float


def cost(cpu_us: float, terms: Terms) -> Cost:
    """The cost of a million users with one score an event, of ``cpu_us`` each.

    The cores of the peak are paid for all month; disk, memory, broker and spare machines are not
    in it.
    """
    events_per_s = USERS * terms.events_per_user_day / SECONDS_A_DAY * terms.peak
    cores = events_per_s * cpu_us / 1e6
    return Cost(cores, cores * HOURS_A_MONTH * terms.price_per_core_hour)
