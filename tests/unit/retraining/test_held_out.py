from __future__ import annotations

from production_server.labels.labelled import digest_of
from production_server.retraining.held_out import is_held_out

HELD_OUT = [0, 7, 8, 9, 10, 19, 22, 29, 33, 36]


def test_one_input_in_five_is_held_out() -> None:
    held = sum(is_held_out(digest_of(str(n).encode())) for n in range(10_000))
    assert 1_850 < held < 2_150


def test_what_was_held_out_once_always_is() -> None:
    """The numbers are those of the first release: others would measure versions on what they were trained on."""
    assert [n for n in range(40) if is_held_out(digest_of(str(n).encode()))] == HELD_OUT
