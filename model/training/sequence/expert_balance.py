"""The balance: the weight of each expert against the others, fitted on held-out events.

The gate is learned on data that the network has memorised, so it trusts the network too much. The
temperature of generate, and an addend to the logits of copy and of each rule for each depth in
the window, are fitted on unseen events; an expert that does not help is faded out.
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
from model.training.sequence.judged import ALL, Judged
from model.training.sequence.validation import (
    PADDED_TOKENS,
    Positions,
    look,
    positions,
    validate,
)
from model.training.windows import Batches

SHARES = (0.0, 0.5, 1.0)  # of the fit; the one with the best ranking is used
TEMPERATURES = tuple(1.25**power for power in range(-1, 5))  # generate tends to be overconfident
RIDGE = 1e-3  # nats for an addend of 1: regularises depths with few events
MOST_STEPS = 100
NOTHING = -1e4  # a logit; finite, so that it cannot lead to NaN


class Balance(NamedTuple):
    """The correction applied to a network's experts after training."""

    added: Tensor  # (buckets, 1 + E) to the logits of copy and of each rule
    temperature: float  # divides generate's scores

    def part(self, share: float) -> "Balance":
        """This share of the correction, 0 to 1."""
        return Balance(self.added * share, self.temperature**share)

    def put(self, network: SequenceModel) -> None:
        """Write the balance into the weights of a network that has none yet."""
        network.balance.copy_(self.added)
        network.generate.log_temperature.data.sub_(math.log(self.temperature))
        network.out.bias.data.div_(self.temperature)


class Evidence(NamedTuple):
    """The log mass of each expert on all items, and on the target, at N positions."""

    generated: Tensor  # (N, H) on all items, by temperature
    generated_hits: Tensor  # (N, H)
    masses: Tensor  # (N, 1 + E) copy, rules
    hits: Tensor  # (N, 1 + E)
    buckets: Tensor  # (N,)


def fit_balance(
    network: SequenceModel, held_out: Batches, seed: int, judged: Judged = ALL
) -> Balance:
    """Fit the balance on the held-out events, write it into the network, and return it.

    The most likely balance need not rank best, so the share of it that ranks best is used.
    """
    fitted = likeliest(network, held_out, seed, judged.fitted)
    found = []
    for share in SHARES:
        with balanced(network, fitted.part(share)):
            found.append(validate(network, held_out, seed, judged.compared).total)
    best = fitted.part(SHARES[found.index(max(found))])
    best.put(network)
    return best


@contextmanager
def balanced(network: SequenceModel, balance: Balance) -> Iterator[None]:
    """Apply the balance to the network for the duration of the block."""
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
    """Fit the balance that maximises the likelihood of the next items in ``windows`` windows.

    Minimises the mean of ``−log Σ_e e^{w_e} hit_e / Σ_e e^{w_e} mass_e`` over w, with w = 0 for
    generate and its scores divided by one of ``TEMPERATURES``. The network must have no balance
    yet.
    """
    evidence = _gather(network, held_out, seed, windows)
    if evidence is None:
        return Balance(torch.zeros_like(network.balance), 1.0)
    fits = [_fit(evidence, index) for index in range(len(TEMPERATURES))]
    costs = [cost for cost, _ in fits]
    best = costs.index(min(costs))
    return Balance(fits[best][1].to(network.device), TEMPERATURES[best])


def _fit(evidence: Evidence, temperature: int) -> tuple[float, Tensor]:
    """The loss and the addends at the temperature of this index."""
    masses = torch.cat([evidence.generated[:, temperature, None], evidence.masses], 1)
    hits = torch.cat([evidence.generated_hits[:, temperature, None], evidence.hits], 1)
    balance = torch.zeros(BUCKETS, 1 + WAYS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([balance], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        added = torch.cat([torch.zeros(BUCKETS, 1), balance], dim=1)[evidence.buckets]
        likelihood = torch.logsumexp(hits + added, 1) - torch.logsumexp(masses + added, 1)
        cost = RIDGE * balance.square().mean() - likelihood.mean()
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
            parts += [weigh(network, part, table) for part in found]
    if not sum(len(part.buckets) for part in parts):
        return None
    return Evidence(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def weigh(network: SequenceModel, found: Positions, table: Tensor) -> Evidence:
    """The evidence at positions; those without a known target are left out."""
    known = found.targets >= 0
    found = Positions(*(part[known] for part in found))
    target = found.targets[:, None] + FIRST_ITEM  # (N, 1)
    scores = network.generate(found.states) @ table[FIRST_ITEM:].T + network.out.bias[FIRST_ITEM:]
    codes = found.items.long()
    shares = network.shares[:, codes].transpose(0, 1).float()  # (N, E, L, M)
    is_target = (network.companions[codes] == target[..., None])[:, None]  # (N, 1, L, M)
    ruled = found.rules + torch.log((shares * is_target).sum(-1))
    copied = found.copies.masked_fill(found.items != target, -torch.inf)
    whole = found.rules + torch.log(shares.sum(-1))
    generated = scores.gather(1, target - FIRST_ITEM)  # (N, 1)
    temperatures = torch.tensor(TEMPERATURES, device=scores.device)
    masses = [found.copies.logsumexp(1, True), whole.logsumexp(2)]
    hits = [copied.logsumexp(1, True), ruled.logsumexp(2)]
    return Evidence(
        torch.stack(
            [(scores / temperature).logsumexp(1) for temperature in TEMPERATURES], 1
        ).double(),
        (generated / temperatures).double(),
        torch.cat(masses, 1).double().clamp(min=NOTHING),
        torch.cat(hits, 1).double().clamp(min=NOTHING),
        buckets(found.positions, 0, found.positions.device),
    )
