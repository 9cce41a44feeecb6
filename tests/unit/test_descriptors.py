from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from production_server import descriptors


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_last_ones_are_kept(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))

    assert [descriptors.is_kept(number) for number in (10, 895, 896, 1023)] == [False, False, True, True]


def test_of_a_low_limit_a_quarter_is_kept(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))

    assert [descriptors.is_kept(number) for number in (191, 192)] == [False, True]


def test_it_is_noticed_that_few_are_left(limits: tuple[int, int]) -> None:
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    seen = []

    for limit in (lowest, 2 * lowest + 100):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
        seen.append(descriptors.are_short())

    assert seen == [True, False]
