"""The scoring options: how a worker filters and reranks the model's best items."""

import json
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from model.errors import OptionsError

COLDEST, HOTTEST = 0.01, 100.0
_TAG_BYTES = 3


@dataclass(frozen=True, slots=True)
class ItemList:
    """A list of item ids; ``source`` is where it came from, for messages only."""

    source: str
    ids: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read one id per line, or a JSON list; skips empty lines. Raises ``OptionsError``."""
        try:
            text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
        except OSError as error:
            raise OptionsError(
                f"{path}: cannot be read ({error.strerror}); name a file of item ids"
            ) from None
        except UnicodeDecodeError:
            raise OptionsError(f"{path}: is not UTF-8; write one item id per line") from None
        ids = _json_ids(path, text) if text.lstrip().startswith("[") else text.splitlines()
        return cls(str(path), frozenset(name for name in ids if name.strip()))


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """Filters and reranking of each score's items; the default changes nothing.

    Raises ``OptionsError``, with one line, for values out of range.
    """

    exclude_seen: bool = False  # drop the items of the sequence
    allowed_items: ItemList | None = None  # keep only these
    blocked_items: ItemList | None = None  # drop these
    max_per_category: int | None = None  # items without a category are not counted
    diversity: float = 0.0  # 0 ranks by probability alone, 1 by different categories alone
    recency_temperature: float = 1.0  # below 1 newer items gain, above 1 older ones
    user_vector: bool = False  # include the user's vector in the score

    def __post_init__(self) -> None:
        cap = self.max_per_category
        if cap is not None and cap < 1:
            raise OptionsError(f"max_per_category is {cap}, expected at least 1")
        if not 0 <= self.diversity <= 1:
            raise OptionsError(f"diversity is {self.diversity}, expected 0 to 1")
        if not COLDEST <= self.recency_temperature <= HOTTEST:
            raise OptionsError(
                f"recency_temperature is {self.recency_temperature}, expected {COLDEST} to "
                f"{HOTTEST:g}"
            )

    @property
    def choose_items(self) -> bool:
        """Whether the items of a score may differ from the model's own best."""
        return replace(self, user_vector=False) != ScoringOptions()

    def version(self, version: str) -> str:
        """The model's version under these options; equal versions mean equal scores.

        Where the options choose items, ``+`` and six hex digits follow: a hash of the options and
        the ids of the lists, not of the files' names. A user vector alone changes no score.
        """
        if not self.choose_items:
            return version
        text = json.dumps(self._choice(), sort_keys=True).encode()
        return f"{version}+{blake2b(text, digest_size=_TAG_BYTES).hexdigest()}"

    def _choice(self) -> dict[str, Any]:
        lists = {"allowed_items": self.allowed_items, "blocked_items": self.blocked_items}
        return {
            "exclude_seen": self.exclude_seen,
            "max_per_category": self.max_per_category,
            "diversity": float(self.diversity),
            "recency_temperature": float(self.recency_temperature),
            **{name: found and sorted(found.ids) for name, found in lists.items()},
        }


NO_OPTIONS = ScoringOptions()


def _json_ids(path: Path, text: str) -> list[str]:
    try:
        ids = json.loads(text)
    except ValueError as error:
        raise OptionsError(
            f"{path}: begins with [ but is not a JSON list ({error}); fix it, or write one id per "
            "line"
        ) from None
    if not all(isinstance(name, str) for name in ids):
        raise OptionsError(f"{path}: the JSON list has a non-string; write ids in quotes")
    return list(ids)
