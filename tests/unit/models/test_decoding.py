"""Images are begun within their time, and within the memory that there is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from production_server.errors import InvalidInput, Unavailable
from production_server.models.decoding import decoding_until, room_for
from production_server.models.images import check_image
from testing.image_files import saved

WEBP = saved(np.zeros((9, 9, 3), np.uint8), "WEBP")


def test_after_its_time_no_image_is_begun() -> None:
    with decoding_until(time.monotonic() - 1), pytest.raises(Unavailable) as caught:
        check_image(WEBP, field="image", max_pixels=1_000)

    assert caught.value.code == "overloaded"
    check_image(WEBP, field="image", max_pixels=1_000)


def test_what_is_no_image_is_said_whatever_the_time() -> None:
    with decoding_until(time.monotonic() - 1), pytest.raises(InvalidInput, match="text"):
        check_image(b"text", field="image", max_pixels=1_000)


def test_an_earlier_end_holds_within_a_later_one() -> None:
    past, future = time.monotonic() - 1, time.monotonic() + 60

    with decoding_until(past), decoding_until(future), pytest.raises(Unavailable), room_for(1):
        pass


def test_memory_that_others_have_is_waited_for_until_the_time_is_over() -> None:
    soon = time.monotonic() + 0.05

    with room_for(2**40), decoding_until(soon), pytest.raises(Unavailable, match="other images"), room_for(1):
        pass

    with room_for(1):
        pass
