"""The untrained text network: an encoder's weights, the token tables, and initialised heads."""

import math

import torch
from torch.nn import functional

from model.catalogue import NO_CATEGORY
from model.features import FIRST_ITEM
from model.networks.experts import FIRST_TEMPERATURE
from model.networks.text import TextConfig, TextModel
from model.networks.text_encoder import TextEncoder
from model.training.plan import Plan
from model.training.text.titles import encode_within
from model.training.text.token_tables import token_tables
from model.training.time_limit import NO_LIMIT, TimeLimit
from model.training.training_data import TrainingData


def build(
    data: TrainingData, plan: Plan, encoder: TextEncoder, limit: TimeLimit = NO_LIMIT
) -> tuple[TextModel, int]:
    """Build a network from the encoder's weights; the seed determines its untrained heads.

    Also returns for how many texts, those of the least popular items, there was no time. They
    count as none.
    """
    torch.manual_seed(plan.recipe.seed)
    vectors, left_out = encode_within(limit, encoder, data.texts, data.counts)
    texts = list(data.texts)
    for number in left_out:
        texts[number] = ""
    tables = token_tables(encoder, texts, plan.config.actions)
    config = TextConfig(
        **data.sizes(plan.config),
        gap_buckets=plan.config.gap_buckets,
        encoder=encoder.network.config.to_dict(),
        source=encoder.source._asdict(),
        marks=tables.marks,
        title_tokens=tables.items.shape[1],
        action_tokens=tables.actions.shape[1],
    )
    positions = int(encoder.network.config.max_position_embeddings)
    config.most_tokens = tables.most_tokens(config.last_items, positions)
    network = TextModel(config)
    network.encoder.load_state_dict(encoder.network.state_dict())
    network.item_tokens.copy_(torch.from_numpy(tables.items))
    network.action_words.copy_(torch.from_numpy(tables.actions))
    network.item_vectors[FIRST_ITEM:] = torch.from_numpy(vectors)
    start_heads(network, data)
    return network, len(left_out)


@torch.no_grad()
def start_heads(network: TextModel, data: TrainingData) -> None:
    """Initialise the item bias to popularity, and the category head to the items' texts.

    A category's first weights point to the mean of its items' text vectors.
    """
    shares = torch.from_numpy(data.counts + 1.0)
    network.bias.copy_(torch.log(shares / shares.sum()))
    categories = torch.from_numpy(data.catalogue.item_categories)
    known = categories != NO_CATEGORY
    middle = torch.zeros_like(network.category.weight)
    middle.index_add_(0, categories[known], network.item_vectors[FIRST_ITEM:][known])
    # A state has a length of about √D after its layer norm.
    scale = FIRST_TEMPERATURE / math.sqrt(middle.shape[1])
    network.category.weight.copy_(functional.normalize(middle, dim=1) * scale)
    network.category.bias.zero_()
