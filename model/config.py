"""The configuration that training and serving share: how a sequence is encoded."""

from dataclasses import asdict, dataclass
from typing import Any

PADDING_MULTIPLE = 4  # other padded lengths change the last bits of ONNX Runtime's results
GAP_BUCKETS = 23  # the last one starts at 2^21 s, about 24 days
BFLOAT16 = "bfloat16"
CATALOGUE_ENDS = ("graph", "native", BFLOAT16)
HORIZON = "horizon_s"  # stands beside the intents in a score, so none can have this name


@dataclass(frozen=True, slots=True)
class ArtifactConfig:
    """All that serving needs besides the weights; saved in the artifact's manifest.

    It imports neither torch nor transformers, so a worker on a CPU can read it. Raises
    ``ValueError``, with one line, for invalid values.
    """

    name: str = "lately"
    network: str = "transformer"
    actions: tuple[str, ...] = ("click", "cart", "buy")
    intents: tuple[str, ...] = ("cart", "buy")  # what is predicted, in the order of intent_logits
    max_length: int = 50  # actions the network sees, the newest ones
    gap_buckets: int = GAP_BUCKETS
    horizon_s: int = 1800  # an intent is positive if its action happens within this time
    top_items: int = 20
    top_categories: int = 5
    # The actions that each intent counts; empty where each is the action of its own name, as in
    # every artifact from before intents had names of their own.
    intent_actions: tuple[tuple[str, ...], ...] = ()
    # What ends a score: the graph, the native core, whose probabilities differ in the last digits,
    # or the torch engine in bfloat16. So it is the artifact's, and part of its version.
    catalogue_end: str = "graph"

    def __post_init__(self) -> None:
        for field in ("max_length", "horizon_s", "top_items", "top_categories"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} is {getattr(self, field)}, expected at least 1")
        if not 2 <= self.gap_buckets <= GAP_BUCKETS:
            raise ValueError(f"gap_buckets is {self.gap_buckets}, expected 2 to {GAP_BUCKETS}")
        if len(set(self.actions)) != len(self.actions) or not self.actions:
            raise ValueError(f"actions are {list(self.actions)}, expected distinct names")
        if self.catalogue_end not in CATALOGUE_ENDS:
            raise ValueError(
                f"catalogue_end is {self.catalogue_end!r}, expected {', '.join(CATALOGUE_ENDS)}"
            )
        self._check_intents()

    def _check_intents(self) -> None:
        if len(set(self.intents)) != len(self.intents) or {"", HORIZON} & set(self.intents):
            raise ValueError(
                f"intents are {list(self.intents)}, expected distinct names other than {HORIZON}"
            )
        if len(self.counted_actions) != len(self.intents):
            raise ValueError(
                f"intent_actions are of {len(self.counted_actions)} intents, expected "
                f"{len(self.intents)}"
            )
        for intent, actions in zip(self.intents, self.counted_actions, strict=True):
            unknown = [name for name in actions if name not in self.actions]
            if unknown or not actions or len(set(actions)) != len(actions):
                raise ValueError(
                    f"intents: {intent} counts {list(actions)}, expected distinct names from the "
                    f"actions {list(self.actions)}"
                )

    @property
    def counted_actions(self) -> tuple[tuple[str, ...], ...]:
        """The actions that each intent counts, in the order of ``intents``."""
        return self.intent_actions or tuple((name,) for name in self.intents)

    @property
    def counted_codes(self) -> tuple[tuple[int, ...], ...]:
        """``counted_actions`` as positions in ``actions``."""
        return tuple(tuple(map(self.actions.index, names)) for names in self.counted_actions)

    @property
    def padded_length(self) -> int:
        """The width of the encoder's widest batch: ``max_length`` rounded up to the padding."""
        return -(-self.max_length // PADDING_MULTIPLE) * PADDING_MULTIPLE

    @property
    def action_codes(self) -> int:
        """The number of values of the actions input: padding (0), then the actions."""
        return 1 + len(self.actions)

    @property
    def gap_codes(self) -> int:
        """The number of values of the gaps input: padding (0), then the buckets."""
        return 1 + self.gap_buckets

    @property
    def gap_bounds_ms(self) -> tuple[int, ...]:
        """The lower bounds of buckets 2, 3, …: 1 s, 2 s, 4 s, …; bucket 1 is all below."""
        return tuple(1000 << power for power in range(self.gap_buckets - 1))

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types.

        ``intent_actions`` and ``catalogue_end`` are left out where they say nothing, so that
        artifacts from before they existed keep their bytes and their version.
        """
        fields = asdict(self) | {"actions": list(self.actions), "intents": list(self.intents)}
        counted = [list(names) for names in fields.pop("intent_actions")]
        end = fields.pop("catalogue_end")
        later = {"intent_actions": counted} if counted else {}
        return fields | later | ({"catalogue_end": end} if end != CATALOGUE_ENDS[0] else {})

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ArtifactConfig":
        """Rebuild from ``to_json``; raises ``ValueError`` for a missing or invalid field."""
        values: dict[str, Any] = {}
        for field, default in asdict(cls()).items():
            value = fields.get(field, default if field == "catalogue_end" else None)
            if field == "intent_actions":
                values[field] = _names_of_intents(value)
                continue
            if isinstance(default, tuple) and isinstance(value, list):
                if not all(isinstance(name, str) for name in value):
                    raise ValueError(f"{field} is {value!r}, expected a list of strings")
                value = tuple(value)
            if type(value) is not type(default):
                raise ValueError(f"{field} is {value!r}, expected {type(default).__name__}")
            values[field] = value
        return cls(**values)


def _names_of_intents(value: Any) -> tuple[tuple[str, ...], ...]:
    lists: list[Any] = [] if value is None else value if isinstance(value, list) else [value]
    for names in lists:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"intent_actions is {value!r}, expected lists of strings")
    return tuple(map(tuple, lists))
