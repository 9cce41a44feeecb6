from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from production_server import descriptors

NO_END = resource.RLIM_INFINITY


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


@pytest.mark.parametrize(
    ("given", "set_to", "room"),
    [
        ((1024, 524_288), 8192 + descriptors.OTHER_FILES, 4096),
        ((1024, NO_END), 8192 + descriptors.OTHER_FILES, 4096),
        ((20_000, 20_000), None, 4096),
        ((NO_END, NO_END), None, 4096),
        ((1024, 1024), 1024, (1024 - descriptors.OTHER_FILES) // 2),
        ((256, 256), 256, 1),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be_and_connections_get_what_there_is(
    given: tuple[int, int], set_to: int | None, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: given)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, to: found.append(to))

    assert descriptors.room_for(4096) == room
    assert found == ([] if set_to is None else [(set_to, given[1])])
