"""Where the faces of a picture are, by MTCNN: a net that looks everywhere at all sizes, and two that look closer.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks"
(https://arxiv.org/abs/1604.02878), with its thresholds but for the last one (docs/faces.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from production_server.models.faces.boxes import best, moved, squared

Net = Callable[[np.ndarray], list[np.ndarray]]
"""A batch, float32 [n, height, width, 3] from -1 to 1, to the net's outputs in their order."""

LONGEST_SIDE = 960
"""Larger pictures are looked at so small: a face of four times 40 pixels in 4,000 is found all the same."""
FACE_SIDES = (40, 30, 24)
"""The smallest faces that are looked for, in pixels of the picture that is looked at; the next where none was found."""
STEP = 0.709
"""From one size to the next: half the area."""
CELL = 12
"""The side of what P-Net looks at; it does so at every second pixel."""
SURE = (0.6, 0.7, 0.85)
"""From which probability on each net believes in a face. The last is higher than the paper's 0.7: see docs/faces.md."""
CANDIDATES = 1000
MOST_FACES = 256
"""In one picture. A bound on the work of pictures that are full of what looks like faces."""


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of one picture, best first, in its own pixels."""

    boxes: np.ndarray
    """float32 [n, 4]: left, top, right, bottom; may reach over the picture's edges."""
    landmarks: np.ndarray
    """float32 [n, 5, 2]: x and y of the eyes, the nose and the corners of the mouth, as seen from left to right."""
    scores: np.ndarray
    """float32 [n]: how sure it is that this is a face, from 0 to 1."""


class Detector:
    """Finds faces. Without state of its own, so threads may share it as far as they may the nets."""

    def __init__(self, proposal: Net, refinement: Net, output: Net) -> None:
        self._proposal = proposal
        self._refinement = refinement
        self._output = output

    def find(self, picture: np.ndarray) -> Faces:
        """The faces of a picture, uint8 [height, width, 3], upright."""
        height, width = picture.shape[:2]
        factor = min(1.0, LONGEST_SIDE / max(height, width))
        whole = Image.fromarray(picture)
        looked_at = _resized(whole, factor) if factor < 1 else whole
        faces = next(
            (found for side in FACE_SIDES if (found := self._search(looked_at, side)).scores.size), _NONE
        )
        by = np.array([width / looked_at.width, height / looked_at.height], np.float32)
        return Faces(faces.boxes * np.tile(by, 2), faces.landmarks * by, faces.scores)

    def _search(self, picture: Image.Image, smallest: int) -> Faces:
        boxes = self._proposed(picture, smallest)
        pixels = _normalized(np.asarray(picture))
        if len(boxes):
            boxes = self._refined(pixels, boxes)
        return self._told(pixels, boxes) if len(boxes) else _NONE

    def _proposed(self, picture: Image.Image, smallest: int) -> np.ndarray:
        """What may be a face: squares [n, 4]."""
        boxes, scores = [np.empty((0, 4), np.float32)], [np.empty(0, np.float32)]
        for factor in _factors(picture, smallest):
            level = _resized(picture, factor)
            shifts, is_face = (
                output[0] for output in self._proposal(_normalized(np.asarray(level))[np.newaxis])
            )
            rows, columns = np.nonzero(is_face[..., 1] > SURE[0])
            here = is_face[rows, columns, 1]
            corners = 2.0 * np.stack([columns, rows], axis=1).astype(np.float32)
            found = moved(np.concatenate([corners, corners + CELL], axis=1), shifts[rows, columns])
            kept = best(found, here, most_overlap=0.5, of="union", at_most=CANDIDATES)
            by = np.array([picture.width / level.width, picture.height / level.height], np.float32)
            boxes.append(found[kept] * np.tile(by, 2))
            scores.append(here[kept])
        together, sure = np.concatenate(boxes), np.concatenate(scores)
        return squared(together[best(together, sure, most_overlap=0.7, of="union", at_most=CANDIDATES)])

    def _refined(self, pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Those that still look like one, seen closer: squares [n, 4]."""
        shifts, is_face = self._refinement(patches(pixels, boxes, 24))
        likely = is_face[:, 1] > SURE[1]
        better, scores = moved(boxes[likely], shifts[likely]), is_face[likely, 1]
        return squared(better[best(better, scores, most_overlap=0.7, of="union", at_most=2 * MOST_FACES)])

    def _told(self, pixels: np.ndarray, boxes: np.ndarray) -> Faces:
        """Those that are one."""
        shifts, shares, is_face = self._output(patches(pixels, boxes, 48))
        sure = is_face[:, 1] > SURE[2]
        boxes, scores = boxes[sure], is_face[sure, 1]
        places = shares[sure].reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = boxes[:, np.newaxis, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, np.newaxis]
        better = moved(boxes, shifts[sure])
        kept = best(better, scores, most_overlap=0.7, of="smaller", at_most=MOST_FACES)
        return Faces(better[kept], landmarks[kept], scores[kept])


def patches(pixels: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """Squares of `pixels` [height, width, 3], resized bilinearly: float32 [n, side, side, 3], 0 outside of them."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
    steps = np.linspace(0, 1, side, dtype=np.float32)
    x = 1 + boxes[:, :1] + steps * (boxes[:, 2:3] - boxes[:, :1])
    y = 1 + boxes[:, 1:2] + steps * (boxes[:, 3:] - boxes[:, 1:2])
    left, beside = _between(x, width)
    top, below = _between(y, height)
    rows, columns = top[:, :, np.newaxis], left[:, np.newaxis]
    upper = _mixed(padded[rows, columns], padded[rows, columns + 1], beside[:, np.newaxis, :, np.newaxis])
    lower = _mixed(
        padded[rows + 1, columns], padded[rows + 1, columns + 1], beside[:, np.newaxis, :, np.newaxis]
    )
    return _mixed(upper, lower, below[:, :, np.newaxis, np.newaxis])


def _between(places: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel of the padded picture before each place, and how far behind it that is; outside of it, an edge."""
    inside = np.clip(places, 0, size + 1)
    before = np.minimum(inside.astype(np.intp), size)
    return before, inside - before


def _mixed(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = one + (other - one) * share
    return mixed


def _factors(picture: Image.Image, smallest: int) -> Iterator[float]:
    factor, side = CELL / smallest, min(picture.size)
    while side * factor >= CELL:
        yield factor
        factor *= STEP


def _resized(picture: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BILINEAR)


def _normalized(pixels: np.ndarray) -> np.ndarray:
    return (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(128)


_NONE = Faces(np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32))
