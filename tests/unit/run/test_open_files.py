from __future__ import annotations

import resource

import pytest

from production_server.run.open_files import OTHER_FILES, room_for

NO_END = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "set_to", "room"),
    [
        ((1024, 524_288), 8192 + OTHER_FILES, 4096),
        ((1024, NO_END), 8192 + OTHER_FILES, 4096),
        ((20_000, 20_000), None, 4096),
        ((NO_END, NO_END), None, 4096),
        ((1024, 1024), 1024, (1024 - OTHER_FILES) // 2),
        ((256, 256), 256, 1),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be_and_connections_get_what_there_is(
    limits: tuple[int, int], set_to: int | None, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, to: found.append(to))

    assert room_for(4096) == room
    assert found == ([] if set_to is None else [(set_to, limits[1])])
