"""One decoder under libFuzzer, in a process of its own: python -m tests.fuzz.one DECODER [its options]."""

from __future__ import annotations

import sys

import atheris

# What is imported here tells which lines an input has run through.
with atheris.instrument_imports(include=["production_server", "tests.fuzz.decoders", "werkzeug", "PIL"]):
    from tests.fuzz.decoders import DECODERS

atheris.Setup(sys.argv[1:], DECODERS[sys.argv[1]].read)
atheris.Fuzz()
