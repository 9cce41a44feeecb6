"""Which labelled inputs training never sees: what a new version is measured on."""

from __future__ import annotations

_ONE_IN = 5
"""Never to be changed: inputs that were trained on would be measured on."""


def is_held_out(digest: bytes) -> bool:
    """Whether an input is kept from training, by its SHA-256 (`labels.labelled.digest_of`): for ever, in every run.

    The same input is on the same side in whatever job it comes, and whatever its label is. Bytes that were sent and an
    object in a bucket are two inputs, though, even if the same bytes lie there.
    """
    return int.from_bytes(digest[:8]) % _ONE_IN == 0
