"""The losses: each with its formula and its source."""

import torch
from torch import Tensor
from torch.nn import functional

from model.catalogue import NO_CATEGORY
from model.features import CENSORED

MOST_ITEMS_IN_FULL = 4_096  # above this, a sampled softmax is as good and far cheaper
UNIFORM_SHARE = 0.5
COUNT_POWER = 0.75  # Mikolov et al., "Distributed Representations of Words …", NeurIPS 2013
ALONE_SHARE = 0.5
NO_SHARE = 1e-30  # not 0, so that its logarithm has a gradient


class Negatives:
    """The negatives that a whole batch shares: all items of a small catalogue, else a sample.

    A sample of K draws, half uniform and half by count^¾, is reduced to its distinct items. Their
    logits are corrected by the probability of being in the sample,
    ``s_i − log(1 − (1 − π_i)^K)``, π the probability in one draw (the logQ correction of Bengio
    and Senécal, "Adaptive Importance Sampling …", IEEE Trans. Neural Networks 2008, for a sample
    without repeats), so that the sampled softmax estimates the full one.
    """

    def __init__(self, counts: Tensor, draws: int, most_in_full: int = MOST_ITEMS_IN_FULL) -> None:
        """``counts`` (V,) are the actions on each item; ``draws`` is K."""
        n_items = len(counts)
        self._all = torch.arange(n_items) if n_items <= max(most_in_full, draws) else None
        self._draws = draws
        powered = counts.double().pow(COUNT_POWER)
        weights = powered / powered.sum() if powered.sum() > 0 else torch.ones(n_items) / n_items
        self._share = UNIFORM_SHARE / n_items + (1 - UNIFORM_SHARE) * weights  # π, (V,)
        self._bounds = self._share.cumsum(0)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw catalogue indices (K,), ascending, and corrections to subtract from logits (K,)."""
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
    Vocabulary …" (ACL 2015). Half of the loss is that of generate and copy without the rules, so
    that they also learn where the rules know the answer.

    ``targets`` (N,) are the targets' logits s_y; ``negatives`` (N, K) corrected logits, where
    ``hits`` (N, K) marks those that are the target itself; ``copies`` (N, L) the copy logits,
    where ``copied`` (N, L) marks those of the target; ``rules`` (N, E · L) the rule logits, if
    there are any, and ``shares`` (N, E · L) the target's share in each rule's row.
    """
    hit = torch.cat([targets[:, None], copies.masked_fill(~copied, -torch.inf)], dim=1)
    total = torch.cat([targets[:, None], negatives.masked_fill(hits, -torch.inf), copies], dim=1)
    alone = total.logsumexp(1) - hit.logsumexp(1)
    if rules is None or shares is None:
        return alone.mean()
    ruled = rules + torch.log(shares.clamp(min=NO_SHARE))  # (N, E · L)
    with_rules = torch.cat([total, rules], 1).logsumexp(1) - torch.cat([hit, ruled], 1).logsumexp(1)
    return ((1 - ALONE_SHARE) * with_rules + ALONE_SHARE * alone).mean()


def category_loss(logits: Tensor, categories: Tensor) -> Tensor:
    """Cross-entropy ``−log softmax(z)_c`` of the next items' categories; 0 if none is known.

    ``logits`` (N, C); ``categories`` (N,), ``NO_CATEGORY`` where the item has none.
    """
    known = categories != NO_CATEGORY
    if not known.any():
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[known], categories[known])


def intent_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy ``−(w·y log σ(z) + (1 − y) log(1 − σ(z)))``; 0 if no label is known.

    ``logits`` and ``labels`` (N, A), a label being 1, 0, or ``CENSORED`` where the log ends
    before the horizon; ``weights`` (A,) of the positive labels, 1 if None.
    """
    known = labels != CENSORED
    if not known.any():
        return logits.sum() * 0.0
    return functional.binary_cross_entropy_with_logits(
        logits[known],
        labels[known].float(),
        pos_weight=None if weights is None else weights.expand_as(labels)[known],
    )
