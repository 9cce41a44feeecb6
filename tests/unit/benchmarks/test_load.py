"""The load generator: what it is told, and what it tells."""

from __future__ import annotations

import pytest

from benchmarks import load
from benchmarks.load import Call

OUTPUT = """\
Running 2s test @ http://127.0.0.1:5100/v2/models/diabetes/infer
  1 threads and 8 connections
  2 requests in 2.00s, 1.00KB read
Requests/sec:      1.00
{"seconds": 2.000000, "statuses": {"200": 300, "503": 4}, "connect_errors": 0, "read_errors": 0, "write_errors": 0, \
"timeouts": 2, "p50_ms": 1.500, "p90_ms": 2.000, "p99_ms": 3.000, "max_ms": 9.000, "longest_gap_ms": 8.000}
"""


def test_what_the_load_generator_prints_last_is_read() -> None:
    got = load.parse(OUTPUT, connections=8)

    assert (got.connections, got.seconds, got.statuses) == (8, 2.0, {200: 300, 503: 4})
    assert (got.p50_ms, got.p90_ms, got.p99_ms, got.max_ms, got.longest_gap_ms) == (1.5, 2.0, 3.0, 9.0, 8.0)


def test_an_error_counts_as_an_error_and_not_as_an_answer() -> None:
    got = load.parse(OUTPUT, connections=8)

    assert got.answers_per_s == 150
    assert got.errors == {"503": 4, "timeouts": 2}


def test_output_without_figures_is_shown_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        load.parse("unable to connect to 127.0.0.1:5100 Connection refused\n", connections=8)


def test_a_missing_load_generator_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(RuntimeError, match="apt install wrk"):
        load.run(Call("http://127.0.0.1:1/", b""), connections=1, seconds=1)
