"""The spectral start: item vectors in which what goes together lies near each other already.

Vectors that are learnt with negative samples factorise the pointwise mutual information of what
occurs together (Levy and Goldberg, "Neural Word Embedding as Implicit Matrix Factorization",
NeurIPS 2014). A truncated factorisation of it takes seconds, and from there on the steps need not
find out item by item what the counts say of all of them.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.training.sequence.co_occurrence import Counts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SMOOTHING = 0.75  # of the columns' counts: rare items do not look close to everything
ITERATIONS = 3  # of the randomised range finder
NOISE = 0.3  # in lengths of a vector: two items with the same neighbours are still two


def spectral_start(counts: Counts, width: int, seed: int) -> Tensor | None:
    """Vectors (V, ``width``) of about unit length, the same for a seed; None without any counts.

    ``U √S`` of the positive pointwise mutual information ``max(0, log c_ab C / (c_a c_b^¾))``,
    C being the sum of all ``c_b^¾`` (Levy, Goldberg and Dagan, TACL 2015), each row scaled to unit
    length. An item that goes with nothing gets a random vector.
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
    information = np.log(counts.values * smooth.sum() / (rowwise[rows] * smooth[columns]))
    kept = information > 0
    table = (information[kept].astype(np.float32), (rows[kept], columns[kept]))
    return csr_array(table, shape=(items, items))
