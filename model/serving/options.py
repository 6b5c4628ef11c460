"""The options at scoring time: what a worker may ask for beyond the model's own best items."""

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
    """Items that somebody listed; ``source`` says where, for messages alone."""

    source: str
    ids: frozenset[str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """One id a line, or a JSON list of ids; empty lines do not count. Raises OptionsError."""
        try:
            text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before the text
        except OSError as error:
            raise OptionsError(
                f"{path}: cannot be read ({error.strerror}); name a file of item ids"
            ) from None
        except UnicodeDecodeError:
            raise OptionsError(f"{path}: is not UTF-8; write one item id a line") from None
        ids = _json_ids(path, text) if text.lstrip().startswith("[") else text.splitlines()
        return cls(str(path), frozenset(name for name in ids if name.strip()))


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """What is done to each score's list of items; the default is nothing.

    Raises ``OptionsError``, with one line, for values that make no sense.
    """

    exclude_seen: bool = False  # no item that the sequence holds
    allowed_items: ItemList | None = None  # no item but these
    blocked_items: ItemList | None = None  # none of these
    max_per_category: int | None = None  # items without a category are not counted
    diversity: float = 0.0  # 0 ranks by probability alone, 1 by unlike categories alone
    recency_temperature: float = 1.0  # below 1 newer items gain, above it older ones
    user_vector: bool = False  # the score also tells the user's vector

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
        """Whether the items of a score may be others than the model's own best."""
        return replace(self, user_vector=False) != ScoringOptions()

    def version(self, version: str) -> str:
        """The model's version under these options: equal scores, equal versions.

        ``+`` and six hex digits follow where the options choose items: a hash over them and the
        ids of the lists, not over the files' names. A user vector alone changes no score.
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
            f"{path}: begins with [ but is no JSON list ({error}); mend it, or write one id a line"
        ) from None
    if not all(isinstance(name, str) for name in ids):
        raise OptionsError(f"{path}: the JSON list holds what is no string; write ids in quotes")
    return list(ids)
