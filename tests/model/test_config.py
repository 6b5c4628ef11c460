"""The configuration: which actions an intent counts, and what older artifacts say of it."""

from typing import Any

import pytest

from model.config import ArtifactConfig

SHOP = ArtifactConfig(
    actions=("View", "AddToCart", "Purchase", "order"),
    intents=("cart", "buy"),
    intent_actions=(("AddToCart",), ("Purchase", "order")),
)


def test_an_intent_counts_the_actions_that_are_named() -> None:
    assert SHOP.counted_actions == (("AddToCart",), ("Purchase", "order"))
    assert SHOP.counted_codes == ((1,), (2, 3))
    assert ArtifactConfig.from_json(SHOP.to_json()) == SHOP


def test_an_intent_without_names_counts_the_action_of_its_own_name() -> None:
    config = ArtifactConfig()

    assert config.counted_actions == (("cart",), ("buy",))
    assert config.counted_codes == ((1,), (2,))


def test_artifacts_from_before_intents_had_actions_keep_their_bytes() -> None:
    """Another field in the manifest would be another checksum and another version."""
    fields = ArtifactConfig().to_json()

    assert "intent_actions" not in fields
    assert ArtifactConfig.from_json(fields) == ArtifactConfig()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"intent_actions": (("AddToCart",),)}, "intent_actions are of 1 intents, expected 2"),
        ({"intent_actions": (("AddToCart",), ())}, "buy counts [], expected distinct names"),
        ({"intent_actions": (("AddToCart",), ("buy",))}, "buy counts ['buy'], expected"),
        ({"intent_actions": (("View",), ("order", "order"))}, "buy counts ['order', 'order']"),
        ({"intents": ("cart", "horizon_s")}, "expected distinct names other than horizon_s"),
        ({"intents": ("buy", "buy")}, "expected distinct names"),
        ({"intents": ("", "buy")}, "expected distinct names"),
    ],
)
def test_an_invalid_intent_is_refused(changed: dict[str, Any], told: str) -> None:
    given = {"actions": SHOP.actions, "intents": SHOP.intents}

    with pytest.raises(ValueError, match="intent") as refused:
        ArtifactConfig(**{**given, "intent_actions": SHOP.intent_actions, **changed})

    assert told in str(refused.value)


@pytest.mark.parametrize("found", ["buy", ["buy"], [[1]], {"buy": ["order"]}])
def test_intent_actions_of_another_shape_are_refused(found: object) -> None:
    with pytest.raises(ValueError, match=r"intent_actions is .*, expected lists of strings"):
        ArtifactConfig.from_json(SHOP.to_json() | {"intent_actions": found})
