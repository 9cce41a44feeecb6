"""How a value that came from outside is named in a message: visible, on one line, in at most 80 characters."""

from __future__ import annotations

import json
from collections.abc import Mapping

MAX_SHOWN = 80
_NAMES_SHOWN = 5


def shown(text: str) -> str:
    """`text`, not too long, with escapes for what would end the line or could not be sent (half a surrogate pair)."""
    all_of_it = visible(text[: MAX_SHOWN + 1])
    return all_of_it if len(all_of_it) <= MAX_SHOWN else all_of_it[: MAX_SHOWN - 3] + "..."


def visible(text: str) -> str:
    """`text` of any length, with such escapes: for a terminal, which obeys some characters."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def describe(value: object) -> str:
    """A value as JSON would write it if that is short."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object"
    # Cut first: a text may be as long as a body.
    head = value[: MAX_SHOWN + 1] if isinstance(value, str) else value
    return shown(json.dumps(head, ensure_ascii=False, default=repr))


def describe_names(value: Mapping[str, object]) -> str:
    """An object by the names in it, the first of them."""
    names = list(value)
    some = ", ".join(map(str, names[:_NAMES_SHOWN])) + (", …" if len(names) > _NAMES_SHOWN else "")
    return shown(f"an object with {some}" if names else "an empty object")
