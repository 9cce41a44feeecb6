"""User-data as it travels."""

from __future__ import annotations

import base64
import gzip
import random

from client.launcher.machine.user_data import MAX_ENCODED_BYTES, encode, faults_of


def test_it_is_compressed_and_comes_out_as_it_was() -> None:
    text = "#cloud-config\n# ü\n" * 1000

    encoded = encode(text)

    assert gzip.decompress(base64.b64decode(encoded)).decode() == text
    assert len(encoded) < len(text) / 20
    assert encode(text) == encoded


def test_what_no_cloud_takes_is_a_fault() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(60_000)).decode()  # nothing to guess

    (fault,) = faults_of(noise)

    assert fault.startswith("it is too large: ")
    assert fault.endswith(f" bytes, compressed and in base64, at most {MAX_ENCODED_BYTES}")
    assert faults_of(noise[:60_000]) == []
