"""The balance: how much copy and rules may say beside generate, fitted on held-out events.

The gate that a network learns knows its training data by heart, and so trusts the network too
much. What is added to the logits of copy and of each rule, by how deep in the window one looks,
is fitted on events that it has never seen; an expert that earns nothing is faded out.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.networks.places import BUCKETS, FIRST_ITEM, buckets
from model.networks.sequence import WAYS, SequenceModel
from model.training.judging import PADDED_TOKENS, Moments, judging, look, moments, validate
from model.training.windows import Batches

FITTED_WINDOWS = 8_000
SHARES = (0.0, 0.5, 1.0)  # of the fit, of which the one that ranks best is taken
RIDGE = 1e-3  # in nats for an addend of 1: what few events say is not believed at once
MOST_STEPS = 100
NOTHING = -1e4  # a logit; finite, so that no NaN can come of it


class Evidence(NamedTuple):
    """What each expert gave to all items, and to the one that came, at N positions; in logs."""

    masses: Tensor  # (N, 2 + E): generate, copy, rules
    hits: Tensor  # (N, 2 + E)
    buckets: Tensor  # (N,)


def fit_balance(network: SequenceModel, held_out: Batches, seed: int) -> None:
    """Set ``network.balance`` to what makes the held-out next items most likely.

    Minimises the mean of ``−log Σ_e e^{w_e} hit_e / Σ_e e^{w_e} mass_e`` over w, generate's w
    being 0, from what the network has learned. The likeliest need not rank best, so only as much
    of it is taken as ranks best.
    """
    network.balance.zero_()
    evidence = _gather(network, held_out, seed)
    if not len(evidence.buckets):
        return
    fitted = _fit(evidence)
    found = []
    for share in SHARES:
        network.balance.copy_(fitted * share)
        found.append(validate(network, held_out, seed).total)
    network.balance.copy_(fitted * SHARES[found.index(max(found))])


def _fit(evidence: Evidence) -> Tensor:
    balance = torch.zeros(BUCKETS, 1 + WAYS, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([balance], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        added = torch.cat([torch.zeros(BUCKETS, 1), balance], dim=1)[evidence.buckets]
        said = torch.logsumexp(evidence.hits + added, 1) - torch.logsumexp(
            evidence.masses + added, 1
        )
        cost = RIDGE * balance.square().mean() - said.mean()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return balance.detach().float()


@torch.no_grad()
def _gather(network: SequenceModel, held_out: Batches, seed: int) -> Evidence:
    parts: list[Evidence] = []
    with judging(network):
        table = network.item_vectors()
        for batch in held_out.in_order(PADDED_TOKENS, FITTED_WINDOWS, seed):
            found = moments(look(network, batch, table), batch)
            parts += [_weigh(network, part, table) for part in found]
    return Evidence(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def _weigh(network: SequenceModel, found: Moments, table: Tensor) -> Evidence:
    known = found.targets >= 0
    found = Moments(*(part[known] for part in found))
    target = found.targets[:, None] + FIRST_ITEM  # (N, 1)
    scores = network.generate(found.states) @ table[FIRST_ITEM:].T + network.out.bias[FIRST_ITEM:]
    codes = found.items.long()
    shares = network.shares[:, codes].transpose(0, 1).float()  # (N, E, L, M)
    ours = (network.companions[codes] == target[..., None])[:, None]  # (N, 1, L, M)
    told = found.rules + torch.log((shares * ours).sum(-1))
    copied = found.copies.masked_fill(found.items != target, -torch.inf)
    whole = found.rules + torch.log(shares.sum(-1))
    masses = [scores.logsumexp(1, True), found.copies.logsumexp(1, True), whole.logsumexp(2)]
    hits = [scores.gather(1, target - FIRST_ITEM), copied.logsumexp(1, True), told.logsumexp(2)]
    return Evidence(
        torch.cat(masses, 1).double().clamp(min=NOTHING),
        torch.cat(hits, 1).double().clamp(min=NOTHING),
        buckets(found.places, 0, found.places.device),
    )
