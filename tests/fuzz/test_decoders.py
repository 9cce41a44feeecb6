"""A short look at each decoder in each run: what broke it once, what is meant for it, and that with some bytes changed.

`make fuzz` looks for longer, and at where an input leads.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import DECODERS

FOUND = Path(__file__).parent / "found"


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_meant_for_it_and_what_broke_it_once_is_read_or_refused(name: str) -> None:
    for seed in DECODERS[name].seeds():
        DECODERS[name].read(seed)
    for file in sorted((FOUND / name).glob("*")):
        DECODERS[name].read(file.read_bytes())


def test_everything_that_was_found_is_of_a_decoder() -> None:
    assert {folder.name for folder in FOUND.iterdir() if folder.is_dir()} <= DECODERS.keys()


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A seed with some bytes cut out, written over or put in."""
    data = bytearray(draw(st.sampled_from(list(DECODERS[name].seeds()))))
    pieces = st.one_of(st.binary(max_size=8), st.sampled_from((b"", *DECODERS[name].words)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 8))] = draw(pieces)
    return bytes(data)


@pytest.mark.parametrize("name", DECODERS)
def test_what_was_changed_is_read_or_refused(name: str) -> None:
    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(changed(name))
    def read(data: bytes) -> None:
        DECODERS[name].read(data)

    read()
