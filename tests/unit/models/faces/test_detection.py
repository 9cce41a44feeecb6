"""What is between the nets of the detector; how good they are together is tested where they are made."""

from __future__ import annotations

import numpy as np

from production_server.models.faces.detection import CANDIDATES, MOST_FACES, Detector, patches


def blind(batch: np.ndarray) -> list[np.ndarray]:
    """P-Net that sees nothing anywhere."""
    rows, columns = (max(1, (size - 10) // 2) for size in batch.shape[1:3])
    nothing = np.zeros((1, rows, columns, 2), np.float32)
    return [np.zeros((1, rows, columns, 4), np.float32), nothing]


def seeing_all(batch: np.ndarray) -> list[np.ndarray]:
    shifts, is_face = blind(batch)
    return [shifts, is_face + 1]


def sure(batch: np.ndarray) -> list[np.ndarray]:
    """R-Net that believes in everything."""
    return [np.zeros((len(batch), 4), np.float32), np.ones((len(batch), 2), np.float32)]


def sure_with_landmarks(batch: np.ndarray) -> list[np.ndarray]:
    shifts, is_face = sure(batch)
    return [shifts, np.full((len(batch), 10), 0.5, np.float32), is_face]


def test_a_patch_of_a_picture_is_resized_bilinearly() -> None:
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, np.newaxis], (6, 8, 3)[1:]).copy()
    pixels = np.stack([ramp] * 6)

    (patch,) = patches(pixels, np.array([[1, 1, 5, 5]], np.float32), 5)

    assert np.allclose(patch[0, :, 0], [1, 2, 3, 4, 5])
    (between,) = patches(pixels, np.array([[1, 1, 3, 3]], np.float32), 5)
    assert np.allclose(between[2, :, 1], [1, 1.5, 2, 2.5, 3])


def test_outside_of_a_picture_there_is_nothing() -> None:
    pixels = np.ones((4, 4, 3), np.float32)

    (patch,) = patches(pixels, np.array([[-4, -4, 8, 8]], np.float32), 13)

    assert patch[4:8, 4:8].min() == 1
    assert patch[:3].max() == patch[9:].max() == patch[:, :3].max() == patch[:, 9:].max() == 0


def test_in_a_picture_without_faces_none_is_found() -> None:
    found = Detector(blind, sure, sure_with_landmarks).find(np.zeros((60, 80, 3), np.uint8))

    assert (found.boxes.shape, found.landmarks.shape, found.scores.shape) == ((0, 4), (0, 5, 2), (0,))


def test_a_picture_smaller_than_any_face_has_none() -> None:
    for shape in ((1, 1, 3), (1, 2000, 3), (11, 11, 3)):
        assert not Detector(seeing_all, sure, sure_with_landmarks).find(np.zeros(shape, np.uint8)).scores.size


def test_a_picture_full_of_faces_costs_no_more_than_is_allowed() -> None:
    batches: list[int] = []

    def counted(batch: np.ndarray) -> list[np.ndarray]:
        batches.append(len(batch))
        return sure(batch)

    found = Detector(seeing_all, counted, sure_with_landmarks).find(np.zeros((900, 900, 3), np.uint8))

    assert max(batches) <= CANDIDATES
    assert 0 < len(found.scores) <= MOST_FACES


def test_places_are_told_in_the_picture_s_own_pixels_however_it_was_looked_at() -> None:
    def one_cell(batch: np.ndarray) -> list[np.ndarray]:
        """A face in the middle of the finest level."""
        shifts, is_face = blind(batch)
        if batch.shape[1] == 288:  # 960 pixels, of which the smallest face has 40 and P-Net's cell 12
            is_face[0, 70, 70, 1] = 1
        return [shifts, is_face]

    found = Detector(one_cell, sure, sure_with_landmarks).find(np.zeros((1920, 1920, 3), np.uint8))

    left = 2 * 70 * 1920 / 288
    assert np.allclose(found.boxes, [[left, left, left + 80, left + 80]])
    assert np.allclose(found.landmarks, left + 40)
