"""Who is who when a service is taught faces, and what is told of the faces that nobody decides."""

from __future__ import annotations

from pathlib import Path

from benchmarks.persona_rounds import Told, divided, shown


def test_of_nine_people_three_are_known_and_three_met_and_of_these_half_of_the_pictures_decided(
    tmp_path: Path,
) -> None:
    for person in range(9):
        (tmp_path / f"s{person}").mkdir()
        for number in range(4):
            (tmp_path / f"s{person}" / f"{number}.pgm").touch()
    (tmp_path / "README").touch()

    division = divided(tmp_path, 1)

    others = set(division.files) - division.known - division.met
    assert [len(group) for group in (division.known, division.met, others)] == [3, 3, 3]
    assert {who for who in division.files if division.may_decide(who, 0)} == division.known | division.met
    (known, *_) = division.known
    assert [division.may_decide(known, place) for place in range(4)] == [True, True, False, False]
    assert divided(tmp_path, 1) == division


def test_shares_are_of_the_known_and_of_the_strangers() -> None:
    told = Told(
        decisions=40,
        labels=9,
        right=6,
        wrong=1,
        of_known=10,
        strangers_named=1,
        of_strangers=50,
        judged_s=0.3,
    )

    assert told.shares == (0.6, 0.3, 0.1, 0.02)
    assert "| 60.0% (60.0–60.0) | 30.0% (30.0–30.0) | 10.0% (10.0–10.0) | 2.0% (2.0–2.0)" in shown([[told]])
