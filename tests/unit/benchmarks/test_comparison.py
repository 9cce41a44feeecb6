"""The comparison with other servers: ratios are taken within a round, medians over all."""

from __future__ import annotations

import re

from benchmarks.load import Load
from benchmarks.peers.__main__ import versions
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.comparison import Comparison, Measured, Ratio
from benchmarks.tables import number, table


def measured(
    server: str,
    number: int,
    per_s: float,
    *,
    connections: int = 32,
    p50_ms: float = 1.0,
    processor_s: float = 0.0,
    others_cores: float = 0.0,
    **errors: int,
) -> Measured:
    load = Load(
        connections=connections,
        seconds=2.0,
        statuses={200: round(per_s * 2)} | {503: errors.pop("refused", 0)},
        socket_errors=errors,
        p50_ms=p50_ms,
        p90_ms=2.0,
        p99_ms=3.0,
        max_ms=4.0,
        longest_gap_ms=5.0,
    )
    return Measured(server, "diabetes", number, load, 100.0, processor_s, others_cores)


ROUNDS = [
    measured("Celeriac", 1, 300, p50_ms=2.0),
    measured("slow", 1, 50, p50_ms=8.0),
    measured("quick", 1, 100, p50_ms=4.0),
    measured("Celeriac", 2, 200, p50_ms=3.0),
    measured("slow", 2, 125, p50_ms=9.0),
    measured("quick", 2, 100, p50_ms=6.0),
    measured("Celeriac", 3, 220, p50_ms=2.0),
    measured("slow", 3, 60, p50_ms=8.0),
    measured("quick", 3, 110, p50_ms=2.0),
]


def test_a_ratio_is_to_the_best_of_the_others_in_the_same_round() -> None:
    assert Comparison(ROUNDS).ratio("Celeriac", "diabetes", 32) == Ratio(2.0, 1.6, 3.0, "quick")


def test_our_other_way_is_none_of_the_others() -> None:
    both = [*ROUNDS, *(measured("Celeriac, embedded", number, 500) for number in (1, 2, 3))]

    assert Comparison(both).ratio("Celeriac", "diabetes", 32) == Ratio(2.0, 1.6, 3.0, "quick")
    assert Comparison(both).ratio("Celeriac, embedded", "diabetes", 32) == Ratio(
        4.545454545454546, 4.0, 5.0, "quick"
    )


def test_of_times_the_least_is_the_best() -> None:
    assert Comparison(ROUNDS).ratio("Celeriac", "diabetes", 32, "p50_ms") == Ratio(0.5, 0.5, 1.0, "quick")


def test_a_round_in_which_a_server_did_not_start_does_not_count() -> None:
    without_ours = [each for each in ROUNDS if (each.server, each.round) != ("Celeriac", 1)]

    assert Comparison(without_ours).ratio("Celeriac", "diabetes", 32) == Ratio(1.8, 1.6, 2.0, "quick")


def test_nothing_to_compare_with_gives_no_ratio() -> None:
    assert Comparison(ROUNDS[:1]).ratio("Celeriac", "diabetes", 32) is None


def test_the_tables_tell_medians_and_a_dash_for_what_is_missing() -> None:
    lines = Comparison([*ROUNDS, measured("slow", 1, 70, connections=64)]).tables().splitlines()

    rows = [re.sub(r" +", " ", line) for line in lines]
    assert "| Celeriac | 220 | – | 100 MiB |" in rows
    assert "| slow | 60.0 | 70.0 | 100 MiB |" in rows
    assert "| quick | 4.00 / 3.00 / 4.00 | – |" in rows


def test_the_processor_is_told_for_an_answer() -> None:
    rounds = [measured("slow", number, 100, processor_s=used) for number, used in enumerate((0.1, 0.3, 0.2))]

    rows = [re.sub(r" +", " ", line) for line in Comparison(rounds).tables().splitlines()]

    assert "| slow | 1,000 |" in rows


def test_a_machine_that_was_not_quiet_is_told() -> None:
    loud = measured("slow", 4, 100, others_cores=0.75)

    quiet, not_quiet = (Comparison(each).tables().splitlines()[0] for each in (ROUNDS, [*ROUNDS, loud]))

    assert quiet.startswith("The machine was quiet (")
    assert not_quiet.startswith(
        "The machine was not quiet: 1 of 10 points may be wrong (others used 0.75 cores"
    )


def test_errors_of_all_rounds_are_summed_up() -> None:
    refusing = [measured("slow", number, 10, refused=2, timeouts=1) for number in (1, 2)]

    assert "- slow, `diabetes`, 32 connections: 4 × 503, 2 × timeouts" in Comparison(refusing).tables()


def test_a_table_is_markdown_with_aligned_columns() -> None:
    assert table(["a", "second"], [["first", "1"]]) == (
        "| a     | second |\n| ----- | ------ |\n| first | 1      |"
    )


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (1234.5, 123.4, 12.34, 1.234, 0.1234)] == [
        "1,234",
        "123",
        "12.3",
        "1.23",
        "0.12",
    ]


def test_of_everyone_the_version_is_told() -> None:
    assert set(versions()) == {package for peer in PEERS for package in peer.packages} | {"onnxruntime"}
