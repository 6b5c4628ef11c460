"""The servable: the interface of every graph that is exported and served."""

from typing import ClassVar

from torch import nn


class Servable(nn.Module):
    """A graph that can be exported and served, in eval mode.

    ``forward`` takes the arrays of ``features.Padded`` that ``inputs`` names, in that order, and
    returns those that ``outputs`` names: the ones of ``outputs.Outputs``, followed by others. One
    of those is ``probabilities`` (B, V), the whole distribution, in every graph that is exported.
    """

    inputs: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]
    tables: ClassVar[tuple[str, ...]] = ()  # buffers that keep their names in the exported file
