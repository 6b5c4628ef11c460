"""The categories in a user's state: how an event adds its own, and which names stay.

One index byte for each action, into the few names that occur; nothing at all without a category.
"""

Names = tuple[str, ...]

MOST_NAMES = 255  # an index is a byte, and 0 is none
_BYTES = [bytes([index]) for index in range(MOST_NAMES + 1)]
_LOWERED = [bytes(at - (at > index) for at in range(256)) for index in range(MOST_NAMES + 1)]


def place(
    names: Names, indices: bytes, category: str | None, at: int, count: int, length: int
) -> tuple[Names, bytes]:
    """Insert an action's category before the one at ``at`` and keep the newest ``length``.

    ``count`` actions were there. A new name goes to the end; one that would be the 256th is not
    kept. A name that no action has any more is removed. Both results are empty without a name.
    """
    index = 0
    if category:
        if category in names:
            index = names.index(category) + 1
        elif len(names) < MOST_NAMES:
            names += (category,)
            index = len(names)
    if not indices:  # the first category
        indices = bytes(count)
    indices = indices[:at] + _BYTES[index] + indices[at:]
    if count < length:
        return names, indices
    if count == length:
        oldest, indices = indices[0], indices[1:]
        if oldest and oldest not in indices:
            return _remove(names, indices, oldest)
        return names, indices
    dropped, indices = indices[:-length], indices[-length:]  # the length was made smaller
    for index in sorted(set(dropped) - {0, *indices}, reverse=True):
        names, indices = _remove(names, indices, index)
    return names, indices


def _remove(names: Names, indices: bytes, index: int) -> tuple[Names, bytes]:
    """Remove a name that no action has, and renumber those after it."""
    names = names[: index - 1] + names[index:]
    return names, indices.translate(_LOWERED[index]) if names else b""
