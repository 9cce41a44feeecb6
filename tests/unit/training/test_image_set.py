from __future__ import annotations

import numpy as np

from production_server.training.image_set import ImageSet, hold_out


def images_of(*counts: int) -> ImageSet:
    """Images whose first pixel tells them apart."""
    classes = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    images = np.arange(len(classes), dtype=np.uint8)[:, None, None, None]
    return ImageSet(images, classes)


def test_held_out_images_are_parted_from_the_rest() -> None:
    rest, held = hold_out(images_of(100, 50), 30, seed=1)

    assert sorted([*rest.images.ravel(), *held.images.ravel()]) == list(range(150))
    assert np.bincount(held.classes).tolist() == [20, 10]


def test_the_same_seed_gives_the_same_parts() -> None:
    first, second, other = (
        hold_out(images_of(40, 40), 10, seed=seed)[1].images.ravel() for seed in (1, 1, 2)
    )

    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_a_small_class_has_an_image_in_each_part() -> None:
    rest, held = hold_out(images_of(100, 2), 10, seed=1)

    assert np.bincount(rest.classes)[1] == 1
    assert np.bincount(held.classes)[1] == 1


def test_scaled_pixels_lie_between_zero_and_one() -> None:
    scaled = images_of(128, 128).scaled()

    assert scaled.dtype == np.float32
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)
