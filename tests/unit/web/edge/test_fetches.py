from __future__ import annotations

from contextlib import ExitStack

import pytest

from production_server.errors import StorageUnavailable
from production_server.web.edge import fetches
from production_server.web.edge.fetches import BoundedFetches


@pytest.fixture(autouse=True)
def _without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetches, "PATIENCE_S", 0.0)


def test_a_bucket_has_no_more_than_half_of_the_places() -> None:
    bounded = BoundedFetches(4)

    with ExitStack() as taken:
        for bucket in ("s3://slow", "s3://slow", "s3://good", "s3://good"):
            taken.enter_context(bounded.place(bucket))
        for bucket in ("s3://slow", "s3://other"):
            with pytest.raises(StorageUnavailable, match=bucket), bounded.place(bucket):
                pass

    with bounded.place("s3://slow"), bounded.place("s3://slow"):
        pass


def test_there_is_always_one_place() -> None:
    with BoundedFetches(0).place("s3://photos"):
        pass
