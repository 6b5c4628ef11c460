"""The recurrent networks: a GRU or an LSTM over the window.

Recurrent session recommendation (Hidasi, Karatzoglou, Baltrunas and Tikk, "Session-based
Recommendations with Recurrent Neural Networks", ICLR 2016), with pre-norm and a residual
connection in each layer; everything else is as in the transformer.
"""

from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from model.networks.positions import pick
from model.networks.sequence import SequenceConfig, SequenceModel


class GruConfig(SequenceConfig):  # type: ignore[no-untyped-call]
    """A sequence network whose encoder is a stack of gated recurrent units."""

    model_type = "lately-gru"

    def __init__(self, **kwargs: Any) -> None:  # or the library makes one of its own
        super().__init__(**kwargs)


class LstmConfig(SequenceConfig):  # type: ignore[no-untyped-call]
    """A sequence network whose encoder is a stack of long short-term memories."""

    model_type = "lately-lstm"

    def __init__(self, **kwargs: Any) -> None:  # or the library makes one of its own
        super().__init__(**kwargs)


class Layer(nn.Module):
    """One recurrent layer over the window, oldest action first, with pre-norm and a residual."""

    def __init__(self, cell: type[nn.GRU | nn.LSTM], config: SequenceConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.cell = cell(config.width, config.width, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs at all positions for the inputs x (B, L, D).

        Padding is on the right, so it cannot influence the positions that are used.
        """
        hidden, _ = self.cell(self.norm(x))
        out: Tensor = x + self.dropout(hidden)
        return out


class Layers(nn.Module):
    """The encoder: every layer computes all positions; those requested are picked at the end."""

    def __init__(self, cell: type[nn.GRU | nn.LSTM], config: SequenceConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(cell, config) for _ in range(config.blocks))

    def forward(self, x: Tensor, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``SequenceModel.make_encoder``."""
        for layer in self.layers[:-1]:
            x = layer(x)
        out = self.layers[-1](x)
        return x, out if at is None else pick(out, at)


class GruModel(SequenceModel):  # type: ignore[no-untyped-call]
    """A sequence network that encodes its window with gated recurrent units."""

    config_class = GruConfig
    base_model_prefix = "gru"

    def make_encoder(self, config: Any) -> nn.Module:
        """See ``SequenceModel``."""
        return Layers(nn.GRU, config)


class LstmModel(SequenceModel):  # type: ignore[no-untyped-call]
    """A sequence network that encodes its window with long short-term memories."""

    config_class = LstmConfig
    base_model_prefix = "lstm"

    def make_encoder(self, config: Any) -> nn.Module:
        """See ``SequenceModel``."""
        return Layers(nn.LSTM, config)


AutoConfig.register(GruConfig.model_type, GruConfig)
AutoModel.register(GruConfig, GruModel)
AutoConfig.register(LstmConfig.model_type, LstmConfig)
AutoModel.register(LstmConfig, LstmModel)
