"""Shares and agreement, against published examples."""

from __future__ import annotations

import pytest

from production_server.labels.measures import kappa, share_of


def test_a_share_has_its_interval() -> None:
    found = share_of(81, 263)

    assert (found.share, found.low, found.high) == pytest.approx((0.308, 0.2553, 0.3662), abs=1e-4)


def test_kappa_is_cohens() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15

    assert kappa(pairs) == pytest.approx(0.4)


@pytest.mark.parametrize("pairs", [[], [("yes", "yes")] * 3], ids=["nothing", "one answer only"])
def test_kappa_says_nothing_where_chance_explains_everything(pairs: list[tuple[str, str]]) -> None:
    assert kappa(pairs) is None
