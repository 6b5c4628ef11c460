"""The balance: how much each expert may say beside the others, fitted on held-out events.

The gate that a network learns knows its training data by heart, and so trusts the network too
much. How sure generate may be, and what is added to the logits of copy and of each rule, by how
deep in the window one looks, is fitted on events that it has never seen; an expert that earns
nothing is faded out.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from model.features import FIRST_ITEM
from model.networks.positions import BUCKETS, buckets
from model.networks.sequence import WAYS, SequenceModel
from model.training.prediction import eval_mode
from model.training.sequence.validation import (
    PADDED_TOKENS,
    Positions,
    look,
    positions,
    validate,
)
from model.training.windows import Batches

FITTED_WINDOWS = 8_000
ROUND_WINDOWS = 3_000  # after each round: enough to see what the weights would be worth
SHARES = (0.0, 0.5, 1.0)  # of the fit, of which the one that ranks best is taken
TEMPERATURES = tuple(
    1.25**power for power in range(-1, 5)
)  # generate is rather too sure than unsure
RIDGE = 1e-3  # in nats for an addend of 1: what few events say is not believed at once
MOST_STEPS = 100
NOTHING = -1e4  # a logit; finite, so that no NaN can come of it


class Balance(NamedTuple):
    """What is done to the experts of a network once it has learnt."""

    added: Tensor  # (buckets, 1 + E) to the logits of copy and of each rule
    temperature: float  # what generate's scores are divided by

    def part(self, share: float) -> "Balance":
        """A share of it, between nothing and all."""
        return Balance(self.added * share, self.temperature**share)

    def put(self, network: SequenceModel) -> None:
        """Let a network that has none have it for good."""
        network.balance.copy_(self.added)
        network.generate.log_temperature.data.sub_(math.log(self.temperature))
        network.out.bias.data.div_(self.temperature)


class Evidence(NamedTuple):
    """What each expert gave to all items, and to the one that came, at N positions; in logs."""

    generated: Tensor  # (N, H) to all, by temperature
    generated_hits: Tensor  # (N, H)
    masses: Tensor  # (N, 1 + E) copy, rules
    hits: Tensor  # (N, 1 + E)
    buckets: Tensor  # (N,)


def fit_balance(network: SequenceModel, held_out: Batches, seed: int) -> Balance:
    """Balance the network by the held-out events; returns what was put.

    The likeliest need not rank best, so only as much of it is taken as ranks best.
    """
    fitted = likeliest(network, held_out, seed, FITTED_WINDOWS)
    found = []
    for share in SHARES:
        with balanced(network, fitted.part(share)):
            found.append(validate(network, held_out, seed).total)
    best = fitted.part(SHARES[found.index(max(found))])
    best.put(network)
    return best


@contextmanager
def balanced(network: SequenceModel, balance: Balance) -> Iterator[None]:
    """The network with this balance meanwhile, and with none after."""
    learnt = (network.generate.log_temperature.data, network.out.bias.data)
    before = [weights.clone() for weights in learnt]
    balance.put(network)
    try:
        yield
    finally:
        network.balance.zero_()
        for weights, was in zip(learnt, before, strict=True):
            weights.copy_(was)


def likeliest(network: SequenceModel, held_out: Batches, seed: int, windows: int) -> Balance:
    """The balance that makes the next items in so many windows most likely.

    Minimises the mean of ``−log Σ_e e^{w_e} hit_e / Σ_e e^{w_e} mass_e`` over w, generate's w
    being 0 and its scores divided by one of ``TEMPERATURES``. The network must have no balance yet.
    """
    evidence = _gather(network, held_out, seed, windows)
    if evidence is None:
        return Balance(torch.zeros_like(network.balance), 1.0)
    fits = [_fit(evidence, place) for place in range(len(TEMPERATURES))]
    costs = [cost for cost, _ in fits]
    best = costs.index(min(costs))
    return Balance(fits[best][1].to(network.device), TEMPERATURES[best])


def _fit(evidence: Evidence, temperature: int) -> tuple[float, Tensor]:
    """The cost, and what to add, at one of the temperatures."""
    masses = torch.cat([evidence.generated[:, temperature, None], evidence.masses], 1)
    hits = torch.cat([evidence.generated_hits[:, temperature, None], evidence.hits], 1)
    balance = torch.zeros(BUCKETS, 1 + WAYS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([balance], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        added = torch.cat([torch.zeros(BUCKETS, 1), balance], dim=1)[evidence.buckets]
        gain = torch.logsumexp(hits + added, 1) - torch.logsumexp(masses + added, 1)
        cost = RIDGE * balance.square().mean() - gain.mean()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return loss().item(), balance.detach().float()


@torch.no_grad()
def _gather(network: SequenceModel, held_out: Batches, seed: int, windows: int) -> Evidence | None:
    parts: list[Evidence] = []
    with eval_mode(network):
        table = network.item_vectors()
        for batch in held_out.in_order(PADDED_TOKENS, windows, seed):
            found = positions(look(network, batch, table), batch)
            parts += [_weigh(network, part, table) for part in found]
    if not sum(len(part.buckets) for part in parts):
        return None
    return Evidence(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def _weigh(network: SequenceModel, found: Positions, table: Tensor) -> Evidence:
    known = found.targets >= 0
    found = Positions(*(part[known] for part in found))
    target = found.targets[:, None] + FIRST_ITEM  # (N, 1)
    scores = network.generate(found.states) @ table[FIRST_ITEM:].T + network.out.bias[FIRST_ITEM:]
    codes = found.items.long()
    shares = network.shares[:, codes].transpose(0, 1).float()  # (N, E, L, M)
    ours = (network.companions[codes] == target[..., None])[:, None]  # (N, 1, L, M)
    ruled = found.rules + torch.log((shares * ours).sum(-1))
    copied = found.copies.masked_fill(found.items != target, -torch.inf)
    whole = found.rules + torch.log(shares.sum(-1))
    ours_alone = scores.gather(1, target - FIRST_ITEM)  # (N, 1)
    temperatures = torch.tensor(TEMPERATURES, device=scores.device)
    masses = [found.copies.logsumexp(1, True), whole.logsumexp(2)]
    hits = [copied.logsumexp(1, True), ruled.logsumexp(2)]
    return Evidence(
        torch.stack(
            [(scores / temperature).logsumexp(1) for temperature in TEMPERATURES], 1
        ).double(),
        (ours_alone / temperatures).double(),
        torch.cat(masses, 1).double().clamp(min=NOTHING),
        torch.cat(hits, 1).double().clamp(min=NOTHING),
        buckets(found.positions, 0, found.positions.device),
    )
