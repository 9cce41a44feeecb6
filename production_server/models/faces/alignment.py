"""A face cut out as dlib does it, which its network was taught on: upright, 150 × 150 pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 150
PLACES = np.array([[47.8, 45.3], [102.2, 45.3], [75.0, 77.5], [51.3, 105.1], [98.7, 105.1]])
"""Where MTCNN's eyes, nose and corners of the mouth lie in dlib's own cut: medians of 246 faces (docs/faces.md)."""


def cuts(pixels: np.ndarray, landmarks: np.ndarray) -> list[np.ndarray]:
    """Faces of a picture, uint8 [height, width, 3], by their landmarks [n, 5, 2] in pixels: each uint8 [150, 150, 3].

    What of them is outside of the picture is black.
    """
    picture = Image.fromarray(pixels)
    return [_cut(picture, places) for places in landmarks]


def _cut(picture: Image.Image, landmarks: np.ndarray) -> np.ndarray:
    to_picture = np.linalg.inv(similarity(landmarks, PLACES))
    corners = to_picture @ np.array([[0, SIDE, SIDE, 0], [0, 0, SIDE, SIDE], [1, 1, 1, 1]])
    left, top = np.floor(corners[:2].min(axis=1)).astype(int)
    right, bottom = np.ceil(corners[:2].max(axis=1)).astype(int)
    # Beside the edges of a picture there is black, and what is much larger than the cut is made small by its areas.
    around = picture.crop((left, top, right, bottom))
    by = max(1, int(np.hypot(*to_picture[:2, 0])))
    around = around.reduce(by) if by > 1 else around
    inner = np.diag([1 / by, 1 / by, 1]) @ np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ to_picture
    face = around.transform(
        (SIDE, SIDE),
        Image.Transform.AFFINE,
        tuple(inner[:2].ravel()),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(face, dtype=np.uint8)


def similarity(places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The turn, scale and shift that bring places [n, 2] nearest to their targets: [3, 3].

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns" (1991); in the plane it
    is one complex factor.
    """
    here, there = (points @ np.array([1, 1j]) for points in (places, targets))
    centre, aim = here.mean(), there.mean()
    spread = np.vdot(here - centre, here - centre).real
    factor = np.vdot(here - centre, there - aim) / spread if spread > 0 else 1 + 0j
    shift = aim - factor * centre
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag], [0, 0, 1]]
    )


def sharpness(face: np.ndarray) -> float:
    """How sharp a cut face is: the variance of its Laplacian, over grey from 0 to 255. Blurred ones are below 20."""
    grey = face.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(laplacian.var())
