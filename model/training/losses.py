"""What training minimises: each loss beside its formula and where it comes from."""

import torch
from torch import Tensor
from torch.nn import functional

from model.catalogue import NO_CATEGORY
from model.features import CENSORED

MOST_ITEMS_IN_FULL = 4_096  # above, a softmax over a sample is as good and far cheaper
UNIFORM_SHARE = 0.5
COUNT_POWER = 0.75  # Mikolov et al., "Distributed Representations of Words …", NeurIPS 2013
ALONE_SHARE = 0.5
NO_SHARE = 1e-30  # not 0, or its logarithm would have no gradient


class Negatives:
    """Items that a whole batch is ranked against: all of a small catalogue, else a sample.

    A sample of K draws, half uniform and half by count^¾, is shared by the batch, each item once.
    Its logits are corrected by how likely an item is to be in it,
    ``s_i − log(1 − (1 − π_i)^K)``, π the chance of one draw (the logQ correction of Bengio and
    Senécal, "Adaptive Importance Sampling …", IEEE Trans. Neural Networks 2008, for a sample
    without repeats), so that the sampled softmax estimates the full one.
    """

    def __init__(self, counts: Tensor, draws: int, most_in_full: int = MOST_ITEMS_IN_FULL) -> None:
        """``counts`` (V,) says how often each item was acted on; ``draws`` is K."""
        n_items = len(counts)
        self._all = torch.arange(n_items) if n_items <= max(most_in_full, draws) else None
        self._draws = draws
        powered = counts.double().pow(COUNT_POWER)
        weights = powered / powered.sum() if powered.sum() > 0 else torch.ones(n_items) / n_items
        self._share = UNIFORM_SHARE / n_items + (1 - UNIFORM_SHARE) * weights  # π, (V,)
        self._bounds = self._share.cumsum(0)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Catalogue indices (K,), ascending, and what to take off their logits (K,)."""
        if self._all is not None:
            return self._all, torch.zeros(len(self._all))
        dice = torch.rand(self._draws, generator=generator, dtype=torch.float64)
        drawn = torch.searchsorted(self._bounds, dice * self._bounds[-1], right=True)
        items = drawn.clamp(max=len(self._bounds) - 1).unique()  # type: ignore[no-untyped-call]
        kept = -torch.expm1(self._draws * torch.log1p(-self._share[items]))  # 1 − (1 − π)^K
        return items, kept.log().float()


def next_item_loss(
    *,
    targets: Tensor,
    negatives: Tensor,
    hits: Tensor,
    copies: Tensor,
    copied: Tensor,
    rules: Tensor | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """``−log (exp s_y + Σ_{j: x_j = y} exp c_j + Σ_k R_ky exp r_k) / Z``, mean over N positions.

    ``Z`` sums over the target, the negatives, the copies and the rules, whose rows R_k sum to 1:
    the softmax of Gu et al. (ACL 2016), sampled as in Jean et al., "On Using Very Large Target
    Vocabulary …" (ACL 2015). Half of the loss is that of generate and copy without the rules: or
    they would learn nothing where the rules know the answer.

    ``targets`` (N,) are the targets' logits s_y; ``negatives`` (N, K) corrected logits, where
    ``hits`` (N, K) marks those that are the target itself; ``copies`` (N, L) the copy logits,
    where ``copied`` (N, L) marks those of the target; ``rules`` (N, E · L) the rule logits, if
    there are any, and ``shares`` (N, E · L) what each one's row has for the target.
    """
    learnt = torch.cat([targets[:, None], copies.masked_fill(~copied, -torch.inf)], dim=1)
    learnt_in_all = torch.cat(
        [targets[:, None], negatives.masked_fill(hits, -torch.inf), copies], dim=1
    )
    alone = learnt_in_all.logsumexp(1) - learnt.logsumexp(1)
    if rules is None or shares is None:
        return alone.mean()
    ruled = rules + torch.log(shares.clamp(min=NO_SHARE))  # (N, E · L)
    with_rules = torch.cat([learnt_in_all, rules], 1).logsumexp(1) - torch.cat(
        [learnt, ruled], 1
    ).logsumexp(1)
    return ((1 - ALONE_SHARE) * with_rules + ALONE_SHARE * alone).mean()


def category_loss(logits: Tensor, categories: Tensor) -> Tensor:
    """Cross-entropy ``−log softmax(z)_c`` of the next item's category; 0 if none has one.

    ``logits`` (N, C); ``categories`` (N,), ``NO_CATEGORY`` where the item has none.
    """
    known = categories != NO_CATEGORY
    if not known.any():
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[known], categories[known])


def intent_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy ``−(w·y log σ(z) + (1 − y) log(1 − σ(z)))``; 0 if nothing is known.

    ``logits`` and ``labels`` (N, A), a label being 1, 0, or ``CENSORED`` where the log ends
    before the horizon does and nobody can tell; ``weights`` (A,) of a yes, 1 if None.
    """
    known = labels != CENSORED
    if not known.any():
        return logits.sum() * 0.0
    return functional.binary_cross_entropy_with_logits(
        logits[known],
        labels[known].float(),
        pos_weight=None if weights is None else weights.expand_as(labels)[known],
    )
