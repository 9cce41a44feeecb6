"""Intervals and agreement, against published examples."""

from __future__ import annotations

import pytest

from production_server.labels.measures import kappa, wilson


def test_the_interval_is_the_one_of_the_literature() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    many, none = wilson(81, 263), wilson(0, 20)
    assert [many.low, many.high] == pytest.approx([0.2553, 0.3662], abs=1e-4)
    assert [none.low, none.high] == pytest.approx([0, 0.1611], abs=1e-4)
    assert wilson(20, 20).high == 1


def test_kappa_is_cohens() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15

    assert kappa(pairs) == pytest.approx(0.4)


@pytest.mark.parametrize("pairs", [[], [("yes", "yes")] * 3], ids=["nothing", "one answer only"])
def test_kappa_says_nothing_where_chance_explains_everything(pairs: list[tuple[str, str]]) -> None:
    assert kappa(pairs) is None
