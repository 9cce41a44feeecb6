"""Pictures in their own size and in colour, for models that look for something in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from production_server.errors import CeleriacError, InvalidInput
from production_server.models.base64_images import image_of_base64
from production_server.models.images import check_image, read_picture
from production_server.models.manifest import the_only
from production_server.models.tasks.image_inputs import ImageInputs, decode_each
from production_server.models.tasks.inputs import CheckedInput, Decoded, Group
from production_server.shown import describe, describe_names

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
        if not isinstance(item, dict) or set(item) != {"b64"}:
            got = describe_names(item) if isinstance(item, dict) else describe(item)
            raise InvalidInput.at(field, '{"b64": "an image file in Base64"}', got)
        data = image_of_base64(item["b64"], field=f"{field}.b64")
        check_image(data, field=f"{field}.b64", max_pixels=max_pixels)
        return CheckedInput(data)
