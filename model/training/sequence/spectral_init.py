"""The spectral initialisation: item vectors in which co-occurring items are already close.

Vectors trained with negative sampling factorise the pointwise mutual information of
co-occurrences (Levy and Goldberg, "Neural Word Embedding as Implicit Matrix Factorization",
NeurIPS 2014). A truncated factorisation takes seconds, and training need not learn item by item
what the counts show for all of them.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.training.sequence.co_occurrence import Counts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SMOOTHING = 0.75  # exponent of the columns' counts: keeps rare items from looking close to all
ITERATIONS = 3  # of the randomised range finder
NOISE = 0.3  # in lengths of a vector: separates items with the same neighbours


def spectral_start(counts: Counts, width: int, seed: int) -> Tensor | None:
    """Vectors (V, ``width``) of about unit length, fixed by the seed; None without any counts.

    ``U √S`` of the positive pointwise mutual information ``max(0, log c_ab C / (c_a c_b^¾))``,
    C being the sum of all ``c_b^¾`` (Levy, Goldberg and Dagan, TACL 2015), each row scaled to unit
    length. An item without co-occurrences gets a random vector.
    """
    from sklearn.utils.extmath import randomized_svd

    information = _information(counts)
    items = len(counts.sums)
    if not information.nnz or items < 2:
        return None
    rank = min(width, items - 1)
    left, strength, _ = randomized_svd(information, rank, n_iter=ITERATIONS, random_state=seed)
    found = np.zeros((items, width))
    found[:, :rank] = left * np.sqrt(strength)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    known = lengths > np.finfo(np.float32).eps
    random = np.random.default_rng(seed).normal(size=found.shape) / np.sqrt(width)
    unit = np.where(known, found / np.where(known, lengths, 1), random)
    return torch.from_numpy((unit + NOISE * random).astype(np.float32))


def _information(counts: Counts) -> "csr_array":
    from scipy.sparse import csr_array

    items = len(counts.sums)
    rows, columns = np.divmod(counts.keys, items)
    rowwise = counts.sums.astype(np.float64)
    smooth = rowwise**SMOOTHING
    values = np.log(counts.values * smooth.sum() / (rowwise[rows] * smooth[columns]))
    kept = values > 0
    table = (values[kept].astype(np.float32), (rows[kept], columns[kept]))
    return csr_array(table, shape=(items, items))
