"""Faces are cut out upright, at the scale that the embedder was taught on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from production_server.models.faces.alignment import PLACES, SIDE, cuts, sharpness, similarity

RNG = np.random.default_rng(1)


def turned(places: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved: np.ndarray = scale * places @ rotation.T + shift
    return moved


def marked(landmarks: np.ndarray, size: int, radius: int) -> np.ndarray:
    """A dark picture with a bright square at each landmark."""
    pixels = np.zeros((size, size, 3), np.uint8)
    for x, y in landmarks.round().astype(int):
        pixels[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
    return pixels


@pytest.mark.parametrize("degrees", [0, 30, -90, 170])
@pytest.mark.parametrize("scale", [0.5, 1, 3.3])
def test_what_was_turned_scaled_and_shifted_is_undone(degrees: float, scale: float) -> None:
    places = turned(PLACES, degrees, scale, (300, 400))

    found = similarity(places, PLACES)

    assert np.allclose((found @ np.c_[places, np.ones(5)].T)[:2].T, PLACES)


def test_points_that_are_all_one_give_a_shift_and_no_fault() -> None:
    found = similarity(np.full((5, 2), 7.0), PLACES)

    assert np.isfinite(found).all()
    assert np.allclose(found @ [7, 7, 1], [*PLACES.mean(axis=0), 1])


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (25, 2), (-120, 4), (10, 12)])
def test_landmarks_come_to_their_places(degrees: float, scale: float) -> None:
    size = 2400
    landmarks = turned(PLACES - 75, degrees, scale, (size / 2, size / 2))

    (face,) = cuts(marked(landmarks, size, radius=round(2 * scale)), landmarks[np.newaxis])

    assert face.shape == (SIDE, SIDE, 3)
    for x, y in PLACES:
        around = face[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7, 0].astype(float)
        rows, columns = np.mgrid[-6:7, -6:7]
        middle = (around * columns).sum() / around.sum(), (around * rows).sum() / around.sum()
        assert np.hypot(middle[0] + round(x) - x, middle[1] + round(y) - y) < 1


def test_a_face_at_the_edge_is_cut_with_black_beside_it() -> None:
    landmarks = PLACES - (75, 0)

    (face,) = cuts(np.full((200, 200, 3), 255, np.uint8), landmarks[np.newaxis])

    assert face[:, :74].max() == 0
    assert face[2:148, 77:].min() == 255


def test_what_is_blurred_is_less_sharp() -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))

    sharp, blurred, flat = (
        sharpness(np.asarray(each))
        for each in (
            picture,
            picture.filter(ImageFilter.GaussianBlur(3)),
            picture.resize((1, 1)).resize((150, 150)),
        )
    )

    assert sharp > 10 * blurred > flat == 0
