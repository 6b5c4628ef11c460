"""The peer's process: trains RecTools' SASRec on the given sequences and ranks the targets.

It runs in its own environment (``make rectools``), so it imports none of our modules::

    .venv-rectools/bin/python -P benchmarks/quality/rectools_peer.py TASK.json ANSWER.json
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

# Its authors' recipe for Beauty, reduced to minutes on a CPU; docs/quality.md has the measurements
# behind that. The rest are the library's defaults.
SETUP: Mapping[str, Any] = {
    "n_blocks": 1,
    "n_heads": 1,
    "n_factors": 128,
    "session_max_len": 20,
    "loss": "sampled_softmax",
    "n_negatives": 64,
}
LISTED = 50  # more than the 20 that count, to include items that tie with the last of them
ASKED_AT_ONCE = 4_096


def main(task_file: Path, answer_file: Path) -> None:
    """Read the task, train for its minutes, and write the rank of each question's target."""
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
    """The model after ``minutes`` of training steps, not counting reading the data."""
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
    """The rank of each target; 0 if it is not listed, or if no item of the question is known."""
    ranks = []
    for start in range(0, len(questions), ASKED_AT_ONCE):
        asked = questions[start : start + ASKED_AT_ONCE]
        answer = model.recommend(
            users=range(len(asked)),
            dataset=_dataset([items for items, _ in asked]),
            k=LISTED,
            filter_viewed=exclude_seen,
            on_unsupported_targets="ignore",
        )
        lists: list[list[tuple[str, float]]] = [[] for _ in asked]
        rows = zip(answer["user_id"], answer["item_id"], answer["score"], strict=True)
        for user, item, score in rows:
            lists[user].append((item, score))
        ranks += [rank(listed, target) for listed, (_, target) in zip(lists, asked, strict=True)]
    return ranks


def rank(listed: Sequence[tuple[str, float]], target: str) -> int:
    """The rank of the target among scored items, the last among ties; 0 if it is not listed."""
    own = next((score for item, score in listed if item == target), None)
    return 0 if own is None else sum(score >= own for _, score in listed)


def _dataset(sequences: Sequence[Sequence[str]]) -> Any:
    import pandas as pd
    from rectools.dataset import Dataset

    rows = [
        (user, item, step)
        for user, sequence in enumerate(sequences)
        for step, item in enumerate(sequence)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "datetime"])
    frame["datetime"] = pd.to_datetime(frame["datetime"], unit="s")  # only their order is used
    return Dataset.construct(frame.assign(weight=1.0))


def _epochs(model: Any) -> float:
    trainer = model.fit_trainer
    return round(float(trainer.global_step / trainer.num_training_batches), 1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
