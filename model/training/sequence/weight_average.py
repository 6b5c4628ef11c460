"""The average: the running mean of a network's weights, which is better than any one of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Means of all parameters of a module that is being trained.

    Averages of stochastic gradient steps generalise better (Izmailov et al., UAI 2018); an
    exponential mean needs no end to be known.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._live = {name: p.data for name, p in module.named_parameters()}
        self.means = {name: p.clone() for name, p in self._live.items()}
        self.updates = 0
        self._decay = decay

    def update(self) -> None:
        """Move towards what the parameters are now."""
        self.updates += 1
        # At first it follows closely, or a short training would end near its start.
        kept = min(self._decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.means.values()), list(self._live.values()), 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module have the means as its parameters meanwhile."""
        live = {name: p.clone() for name, p in self._live.items()}
        self._put(self.means)
        try:
            yield
        finally:
            self._put(live)

    def put(self) -> None:
        """Let the module have the means as its parameters for good."""
        self._put(self.means)

    def restart(self, weights: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> None:
        """Go on from these weights and means."""
        self._put(weights)
        for name, mean in means.items():
            self.means[name].copy_(mean)

    def state(self) -> dict[str, Any]:
        """All that ``load`` takes, besides the weights."""
        return {"means": self.means, "updates": self.updates}

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.restart(weights, state["means"])
        self.updates = state["updates"]

    def weights(self) -> dict[str, Tensor]:
        """A copy of the parameters as they are now."""
        return {name: p.clone() for name, p in self._live.items()}

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(weights[name])
