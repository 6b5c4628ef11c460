"""The weight average: the running mean of a network's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Exponential means of all parameters of a module in training.

    Averaged weights of stochastic gradient descent generalise better (Izmailov et al., UAI 2018),
    and an exponential mean needs no fixed end of training.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._live = {name: p.data for name, p in module.named_parameters()}
        self.means = {name: p.clone() for name, p in self._live.items()}
        self.updates = 0
        self._decay = decay

    def update(self) -> None:
        """Move the means towards the current parameters."""
        self.updates += 1
        # At first they follow closely; otherwise a short training would end near its start.
        kept = min(self._decay, (1 + self.updates) / (10 + self.updates))
        move = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
        move(list(self.means.values()), list(self._live.values()), self.updates)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the means as the module's parameters for the duration of the block."""
        live = {name: p.clone() for name, p in self._live.items()}
        self._put(self.means)
        try:
            yield
        finally:
            self._put(live)

    def put(self) -> None:
        """Replace the module's parameters by the means."""
        self._put(self.means)

    def restart(self, weights: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> None:
        """Set the weights and the means."""
        self._put(weights)
        for name, mean in means.items():
            self.means[name].copy_(mean)

    def state(self) -> dict[str, Any]:
        """The state that ``load`` takes besides the weights."""
        return {"means": self.means, "updates": self.updates}

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Restore the weights and the state."""
        self.restart(weights, state["means"])
        self.updates = state["updates"]

    def weights(self) -> dict[str, Tensor]:
        """A copy of the current parameters."""
        return {name: p.clone() for name, p in self._live.items()}

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(weights[name])
