"""The default network: a causal transformer over the window.

Self-attentive sequential recommendation (Kang and McAuley, "Self-Attentive Sequential
Recommendation", ICDM 2018) with pre-norm blocks, SwiGLU (Shazeer, 2020), a learned bias per
distance (Raffel et al., JMLR 2020) and item vectors of unit length.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from model.networks.positions import distances, pick
from model.networks.sequence import SequenceConfig, SequenceModel


class TransformerConfig(SequenceConfig):  # type: ignore[no-untyped-call]
    """A sequence network whose encoder is a stack of attention blocks."""

    model_type = "lately-transformer"

    def __init__(self, *, heads: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.width % heads:
            raise ValueError(f"width is {self.width}, expected a multiple of the {heads} heads")
        self.heads = heads


class Block(nn.Module):
    """Causal attention, then a gated feed-forward layer, both pre-norm with a residual."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        inner = 4 * math.ceil(2 * width / 3)  # as many weights as an ungated layer of 4·D
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.distance = nn.Parameter(torch.zeros(config.max_length, config.heads))
        self.feed_norm = nn.LayerNorm(width)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """The outputs for inputs x (B, L, D) at the positions ``at`` (B, T), or at all if None.

        Padding is on the right, after every position that is used, so the causal bias is the only
        mask needed.
        """
        normed = self.attention_norm(x)
        key, value = map(self._split, self.key_value(normed).chunk(2, dim=-1))
        seen, asking = (x, normed) if at is None else (pick(x, at), pick(normed, at))
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(asking)), key, value, attn_mask=self._bias(at, x)
        )  # (B, H, T, D/H)
        seen = seen + self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        gate, up = self.gate_up(self.feed_norm(seen)).chunk(2, dim=-1)
        out: Tensor = seen + self.dropout(self.down(functional.silu(gate) * up))
        return out

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def _bias(self, at: Tensor | None, x: Tensor) -> Tensor:
        distance = distances(at, x.shape[1], x.device)  # (1 or B, T, L)
        bias = self.distance[distance.clamp(min=0)].movedim(-1, 1)  # (1 or B, H, T, L)
        return bias.masked_fill((distance < 0)[:, None], -torch.inf)


class Blocks(nn.Module):
    """The encoder: all blocks but the last compute every position, the last those requested."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))

    def forward(self, x: Tensor, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See ``SequenceModel.make_encoder``."""
        for block in self.blocks[:-1]:
            x = block(x)
        return x, self.blocks[-1](x, at)


class TransformerModel(SequenceModel):  # type: ignore[no-untyped-call]
    """A sequence network that attends to its window."""

    config_class = TransformerConfig
    base_model_prefix = "transformer"

    def make_encoder(self, config: TransformerConfig) -> nn.Module:
        """See ``SequenceModel``."""
        return Blocks(config)


AutoConfig.register(TransformerConfig.model_type, TransformerConfig)
AutoModel.register(TransformerConfig, TransformerModel)
