"""Pictures in their own size and in colour, for models that look for something in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from production_server.errors import CeleriacError
from production_server.models.images import read_picture
from production_server.models.manifest import the_only
from production_server.models.tasks.image_inputs import BASE64, ImageInputs, check_base64, decode_each
from production_server.models.tasks.inputs import CheckedInput, Decoded, Group

LONGEST_SIDE = 2048
"""A larger picture is made so small: 12 MB of pixels are one picture's share of memory."""


class PictureInputs(ImageInputs):
    """Files, or {"b64": "…"}."""

    name, noun, plural, at_once = "pictures", "image", "images", 8

    def check_manifest(self) -> None:
        taken = the_only(self._manifest.inputs, "inputs")
        if self._manifest.features or self._manifest.image is not None or taken.dtype != "uint8":
            raise ValueError("inputs: expected pictures in uint8, and neither features nor preprocessing")

    def decode(self, payloads: Sequence[bytes | CeleriacError], *, max_pixels: int) -> Decoded:
        read = partial(read_picture, longest_side=LONGEST_SIDE, max_pixels=max_pixels)
        pictures, errors = decode_each(payloads, read)
        return Decoded(tuple(self._groups(pictures)), errors)

    def _groups(self, pictures: Mapping[int, np.ndarray]) -> list[Group]:
        """Those of one size together."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for place, pixels in pictures.items():
            by_shape.setdefault(pixels.shape, []).append(place)
        name = self._manifest.inputs[0].name
        return [
            Group({name: np.stack([pictures[place] for place in places])}, places)
            for places in by_shape.values()
        ]

    def _check_json(self, item: object, field: str, max_pixels: int) -> CheckedInput:
        return check_base64(item, field, expected=BASE64, max_pixels=max_pixels)
