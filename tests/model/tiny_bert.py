"""A BERT small enough to train in a test: random weights and a vocabulary of whole words."""

from pathlib import Path

WORDS = [
    "red",
    "blue",
    "green",
    "small",
    "large",
    "lipstick",
    "shampoo",
    "candle",
    "lamp",
    "table",
    "click",
    "cart",
    "buy",
    ",",
    "-",
]


def write_tiny_bert(folder: Path, seed: int = 3) -> Path:
    """Save the model and its tokenizer to the folder; the same weights for the same seed."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder
