"""The peer's own process: RecTools' SASRec learns from the sequences it is given, and is asked.

It runs in an environment of its own (``make rectools``), so it imports nothing of ours::

    .venv-rectools/bin/python -P benchmarks/quality/rectools_peer.py TASK.json ANSWER.json
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

# Its authors' recipe for Beauty, narrowed to minutes on a CPU; what was measured for that stands in
# docs/quality.md. The rest is the library's default.
SETUP: Mapping[str, Any] = {
    "n_blocks": 1,
    "n_heads": 1,
    "n_factors": 128,
    "session_max_len": 20,
    "loss": "sampled_softmax",
    "n_negatives": 64,
}
LISTED = 50  # more than the 20 that count, so that what ties with the last of them is there too
ASKED_AT_ONCE = 4_096


def main(task_file: Path, answer_file: Path) -> None:
    """Read the task, learn for its minutes, and write the rank of each question's target."""
    task = json.loads(task_file.read_text(encoding="utf-8"))
    import torch

    torch.set_num_threads(task["threads"])
    started_s = time.monotonic()
    model = learn(task["sequences"], task["minutes"], task["seed"], SETUP)
    train_s = time.monotonic() - started_s
    answer = {
        "ranks": ask(model, task["questions"], exclude_seen=task["exclude_seen"]),
        "train_s": train_s,
        "epochs": _epochs(model),
        "setup": dict(SETUP),
    }
    answer_file.write_text(json.dumps(answer), encoding="utf-8")


def learn(
    sequences: Sequence[Sequence[str]], minutes: float, seed: int, setup: Mapping[str, Any]
) -> Any:
    """The model after so many minutes of steps; reading the data comes on top of them."""
    from pytorch_lightning import Trainer, seed_everything
    from rectools.models import SASRecModel

    def trainer() -> Any:
        return Trainer(
            max_epochs=-1,
            max_time=timedelta(minutes=minutes),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            devices=1,
        )

    seed_everything(seed)
    model = SASRecModel(get_trainer_func=trainer, **setup)
    return model.fit(_dataset(sequences))


def ask(
    model: Any, questions: Sequence[tuple[Sequence[str], str]], exclude_seen: bool
) -> list[int]:
    """The rank of each target; 0 beyond the list, or where nothing asked about is known."""
    ranks = []
    for start in range(0, len(questions), ASKED_AT_ONCE):
        asked = questions[start : start + ASKED_AT_ONCE]
        said = model.recommend(
            users=range(len(asked)),
            dataset=_dataset([items for items, _ in asked]),
            k=LISTED,
            filter_viewed=exclude_seen,
            on_unsupported_targets="ignore",
        )
        lists: list[list[tuple[str, float]]] = [[] for _ in asked]
        rows = zip(said["user_id"], said["item_id"], said["score"], strict=True)
        for user, item, score in rows:
            lists[user].append((item, score))
        ranks += [rank(said, target) for said, (_, target) in zip(lists, asked, strict=True)]
    return ranks


def rank(listed: Sequence[tuple[str, float]], target: str) -> int:
    """Where the target stands among items and their scores, last of its equals; 0 if nowhere."""
    own = next((score for item, score in listed if item == target), None)
    return 0 if own is None else sum(score >= own for _, score in listed)


def _dataset(sequences: Sequence[Sequence[str]]) -> Any:
    import pandas as pd
    from rectools.dataset import Dataset

    rows = [
        (user, item, place)
        for user, sequence in enumerate(sequences)
        for place, item in enumerate(sequence)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "datetime"])
    frame["datetime"] = pd.to_datetime(frame["datetime"], unit="s")  # only their order is used
    return Dataset.construct(frame.assign(weight=1.0))


def _epochs(model: Any) -> float:
    trainer = model.fit_trainer
    return round(float(trainer.global_step / trainer.num_training_batches), 1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
